-- Differences from native hardware, as far as they were looked for. Derived from the rest of the trace, and made anew
-- whenever it is judged, so these tables may change where the others may not.

DROP VIEW IF EXISTS divergence;
DROP VIEW IF EXISTS critical_section;
DROP TABLE IF EXISTS section;
DROP TABLE IF EXISTS finding;
DROP TABLE IF EXISTS judgement;

CREATE TABLE judgement (                 -- one row once the trace was judged
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    step  INTEGER NOT NULL,              -- looked at up to here
    rules TEXT NOT NULL                  -- digest of the rules that were used
) STRICT;

CREATE TABLE finding (
    id          INTEGER PRIMARY KEY,     -- from 0
    step        INTEGER NOT NULL,
    pc          INTEGER NOT NULL,        -- linear; the call site for a VMI call
    rule        TEXT    NOT NULL,
    standing    INTEGER NOT NULL,        -- 0 potential, 1 proven, 2 a hazard that exists natively as well
    what        TEXT    NOT NULL,        -- eflags.IF, cs.RPL, cr0, mem:c0101000 ...
    "before"    ANY,
    native      ANY,                     -- the outcome on native hardware
    paravirtual ANY,                     -- what the guest was given
    text        TEXT    NOT NULL,
    code        BLOB    NOT NULL,        -- the bytes at pc
    event       INTEGER REFERENCES event(seq),
    setting     TEXT    NOT NULL,        -- the latitude that brought it about; '' for none
    opened_by   INTEGER REFERENCES finding(id),   -- it follows from an earlier one
    times       INTEGER NOT NULL
) STRICT;

CREATE INDEX finding_step ON finding(step);

CREATE TABLE section (                   -- where native IF would have been off and the machine's was on
    id          INTEGER PRIMARY KEY,     -- from 0
    opened_by   INTEGER NOT NULL REFERENCES finding(id),
    "start"     INTEGER NOT NULL,        -- steps
    "end"       INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,        -- virtual time
    end_ticks   INTEGER NOT NULL,
    ended       INTEGER NOT NULL,        -- 0: native IF never came on again
    handlers    INTEGER NOT NULL,        -- ticks between entries and the returns to the section, without stolen ones
    stolen      INTEGER NOT NULL,        -- ticks
    interrupts  INTEGER NOT NULL,        -- findings of the rule interrupted that it opened
    faults      INTEGER NOT NULL,        -- fault-in-section
    reschedules INTEGER NOT NULL         -- rescheduled
) STRICT;

CREATE VIEW divergence AS                -- public, as the other views are
SELECT f.id, f.step, printf('%08x', f.pc) AS pc,
       coalesce((SELECT CASE WHEN f.pc = s.address THEN s.name
                             WHEN s.size = 0 OR f.pc - s.address < s.size THEN printf('%s+0x%x', s.name, f.pc - s.address)
                        END FROM symbol s WHERE s.address <= f.pc ORDER BY s.address DESC LIMIT 1), '') AS place,
       f.rule, CASE f.standing WHEN 1 THEN 'proven' WHEN 2 THEN 'hazard' ELSE 'potential' END AS status, f.what,
       CASE typeof(f."before") WHEN 'integer' THEN printf('0x%x', f."before") ELSE f."before" END AS "before",
       CASE typeof(f.native) WHEN 'integer' THEN printf('0x%x', f.native) ELSE f.native END AS native,
       CASE typeof(f.paravirtual) WHEN 'integer' THEN printf('0x%x', f.paravirtual) ELSE f.paravirtual END AS paravirtual,
       f.text, f.setting, f.opened_by, f.event, f.times
FROM finding f;

CREATE VIEW critical_section AS
SELECT s.id, d.place, s."start", s."end", s.ended, s.end_ticks - s.start_ticks AS length, s.handlers, s.stolen,
       s.end_ticks - s.start_ticks - s.handlers - s.stolen AS own, s.interrupts, s.faults, s.reschedules, s.opened_by
FROM section s JOIN divergence d ON d.id = s.opened_by;
