-- What people read. Views are public: a column once shown keeps its name and meaning. Numbers of the machine are in
-- hexadecimal, addresses are linear, and "if", "iopl" are the guest's own (virtual) flags.

CREATE VIEW moment AS                    -- the columns that all views of events share
SELECT e.*,
       printf('%08x', e.pc) AS address,
       coalesce((SELECT CASE WHEN e.pc = s.address THEN s.name
                             WHEN e.pc - s.address < s.size THEN printf('%s+0x%x', s.name, e.pc - s.address)
                        END FROM symbol s WHERE s.address <= e.pc AND (s.size > 0 OR s.address = e.pc)
                        ORDER BY s.address DESC LIMIT 1), '') AS place,
       e.flags >> 35 & 3                     AS cpl,
       e.flags >> 32 & 1                     AS "if",
       e.flags >> 33 & 3                     AS iopl,
       printf('0x%x', e.flags & 0xffffffff)  AS eflags
FROM event e;

CREATE VIEW timeline AS
SELECT m.seq, m.step, m.cpl, m."if", m.iopl, m.address AS pc, m.place, k.family, k.name,
       rtrim(CASE typeof(m.a) WHEN 'null' THEN '' WHEN 'integer' THEN printf('%s=0x%x ', k.a, m.a) ELSE printf('%s=%s ', k.a, quote(m.a)) END
          || CASE typeof(m.b) WHEN 'null' THEN '' WHEN 'integer' THEN printf('%s=0x%x ', k.b, m.b) ELSE printf('%s=%s ', k.b, quote(m.b)) END
          || CASE typeof(m.c) WHEN 'null' THEN '' WHEN 'integer' THEN printf('%s=0x%x ', k.c, m.c) ELSE printf('%s=%s ', k.c, quote(m.c)) END
          || CASE typeof(m.d) WHEN 'null' THEN '' WHEN 'integer' THEN printf('%s=0x%x ', k.d, m.d) ELSE printf('%s=%s ', k.d, quote(m.d)) END
          || CASE typeof(m.e) WHEN 'null' THEN '' WHEN 'integer' THEN printf('%s=0x%x ', k.e, m.e) ELSE printf('%s=%s ', k.e, quote(m.e)) END
          || CASE typeof(m.f) WHEN 'null' THEN '' WHEN 'integer' THEN printf('%s=0x%x ', k.f, m.f) ELSE printf('%s=%s ', k.f, quote(m.f)) END)
       AS args, m.cause
FROM moment m JOIN event_kind k ON k.id = m.kind;

CREATE VIEW hypercall AS
SELECT m.seq, m.step, m.cpl, m.address AS caller, m.place, coalesce(c.name, printf('unknown 0x%x', m.a)) AS call,
       c.generation, c.family, printf('0x%x', m.b) AS eax, printf('0x%x', m.c) AS edx, printf('0x%x', m.d) AS ecx,
       printf('0x%x', m.e & 0xffffffff) AS stack1, printf('0x%x', m.e >> 32 & 0xffffffff) AS stack2,
       CASE WHEN m.f IS NOT NULL THEN printf('0x%x', m.f) END AS result, m.cause
FROM moment m LEFT JOIN vmi_call c ON c.id = m.a
WHERE m.kind = 1;

CREATE VIEW fault AS
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place, m.a AS vector, w.word AS name,
       CASE WHEN m.b IS NOT NULL THEN printf('0x%x', m.b) END AS error,
       CASE WHEN m.c IS NOT NULL THEN printf('%08x', m.c) END AS cr2,
       printf('0x%x', m.d) AS image, m.eflags, printf('%08x', m.e) AS handler, printf('%08x', m.f) AS esp, m.cause
FROM moment m LEFT JOIN word w ON w.topic = 'vector' AND w.value = m.a
WHERE m.kind = 10;

CREATE VIEW interrupt AS
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place, k.name AS kind, CASE WHEN m.kind <> 13 THEN m.a END AS vector,
       CASE WHEN m.kind = 11 THEN m.b END AS irq, CASE WHEN m.kind = 11 THEN m.c END AS shadowed,
       printf('0x%x', m.d) AS image, m.eflags, printf('%08x', m.e) AS handler, printf('%08x', m.f) AS esp, m.cause
FROM moment m JOIN event_kind k ON k.id = m.kind
WHERE m.kind IN (11, 12, 13);

CREATE VIEW entry_return AS
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place, w.word AS "by", printf('%08x', m.b) AS eip,
       printf('0x%x', m.c) AS cs, printf('0x%x', m.d) AS image, m.eflags,
       CASE WHEN m.e IS NOT NULL THEN printf('%08x', m.e) END AS esp,
       CASE WHEN m.f IS NOT NULL THEN printf('0x%x', m.f) END AS ss, m.cause
FROM moment m LEFT JOIN word w ON w.topic = 'return_by' AND w.value = m.a
WHERE m.kind = 14;

CREATE VIEW flag_transition AS
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place, coalesce(f.word, m.a) AS flag, m.b AS virtual_before,
       m.c AS virtual_after, m.d AS real_before, m.e AS real_after,
       coalesce(h.word, 'VMI ' || c.name, m.f) AS how, m.cause
FROM moment m LEFT JOIN word f ON f.topic = 'flag' AND f.value = m.a
              LEFT JOIN word h ON h.topic = 'how' AND h.value = m.f
              LEFT JOIN vmi_call c ON c.id = m.f
WHERE m.kind = 20;

CREATE VIEW flag_attempt AS              -- whether it changed anything or not
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place, coalesce(i.word, m.a) AS instruction,
       m.b >> 9 & 1 AS asked_if, m.b >> 12 & 3 AS asked_iopl, m.c >> 9 & 1 AS if_before, m.c >> 12 & 3 AS iopl_before,
       m.d >> 9 & 1 AS if_after, m.d >> 12 & 3 AS iopl_after, coalesce(o.word, m.f) AS outcome,
       printf('0x%x', m.b) AS asked, printf('0x%x', m.c) AS virtual_before, printf('0x%x', m.d) AS virtual_after,
       printf('0x%x', m.e) AS real_before, m.eflags AS real_after, m.cause
FROM moment m LEFT JOIN word i ON i.topic = 'attempt' AND i.value = m.a
              LEFT JOIN word o ON o.topic = 'outcome' AND o.value = m.f
WHERE m.kind = 21;

CREATE VIEW port_io AS
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place,
       CASE WHEN m.kind = 30 THEN 'in' WHEN m.kind = 31 THEN 'out' WHEN m.c THEN 'out' ELSE 'in' END AS direction,
       printf('0x%x', m.a) AS port, m.b AS width, CASE WHEN m.kind <> 32 THEN printf('0x%x', m.c) END AS value,
       m.kind = 32 AS unknown, m.cause
FROM moment m
WHERE m.kind IN (30, 31, 32);

CREATE VIEW console AS
SELECT m.seq, m.step, CASE m.kind WHEN 40 THEN 'out' ELSE 'in' END AS direction,
       CAST(m.a AS TEXT) AS text, hex(m.a) AS bytes, m.cause
FROM moment m
WHERE m.kind IN (40, 41);

CREATE VIEW emulated AS
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place, m.a AS mnemonic,
       CASE typeof(m.b) WHEN 'integer' THEN printf('0x%x', m.b) ELSE m.b END AS operand,
       CASE typeof(m.c) WHEN 'integer' THEN printf('0x%x', m.c) ELSE m.c END AS value, w.word AS faulted, m.cause
FROM moment m LEFT JOIN word w ON w.topic = 'vector' AND w.value = m.d
WHERE m.kind = 50;

CREATE VIEW mode AS
SELECT m.seq, m.step, m.cpl, m.address AS pc, m.place,
       coalesce((SELECT group_concat(word, ', ') FROM word WHERE topic = 'mode' AND m.a >> value & 1), 'real') AS "before",
       coalesce((SELECT group_concat(word, ', ') FROM word WHERE topic = 'mode' AND m.b >> value & 1), 'real') AS "after",
       m.cause
FROM moment m
WHERE m.kind = 51;

CREATE VIEW outside AS                   -- what came from outside
SELECT i.seq, i.step, k.name AS kind, i.value, CAST(i.bytes AS TEXT) AS text, hex(i.bytes) AS bytes
FROM input i JOIN input_kind k ON k.id = i.kind;
