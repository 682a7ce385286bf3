-- A recording of pvtrace, generation 1: one file, one run. Tables are private, views (views.sql) are for people.
--
-- Integers are of 64 bits without sign and stored as SQLite's signed ones, in two's complement: -1 is 2^64-1.
-- printf('%x', n) shows either as it is meant.

CREATE TABLE meta (                      -- what must be equal for a replay to be lawful, and where the trace is from
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (                      -- content-addressed bytes: pages, files, machine states
    id    INTEGER PRIMARY KEY,
    hash  BLOB NOT NULL UNIQUE,          -- BLAKE2b of 16 bytes over the plain bytes
    size  INTEGER NOT NULL,              -- of the plain bytes
    codec INTEGER NOT NULL,              -- 0 plain, 1 zlib
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE file (                      -- what was given to the machine; a recording needs nothing beside itself
    id     INTEGER PRIMARY KEY,
    role   TEXT NOT NULL,                -- guest, module, rom
    name   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    hash   BLOB NOT NULL REFERENCES blob(hash)
) STRICT;

CREATE TABLE symbol (                    -- names in the guest and in the ROM
    address INTEGER NOT NULL,            -- linear
    name    TEXT NOT NULL,
    size    INTEGER NOT NULL,            -- 0: a label, which has no inside
    source  TEXT NOT NULL,               -- the file it is from
    PRIMARY KEY (address, name, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE source_file (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;

CREATE TABLE source_line (               -- from address on, up to the next one, the code is of this line
    address INTEGER PRIMARY KEY,
    file    INTEGER NOT NULL REFERENCES source_file(id),
    line    INTEGER NOT NULL             -- 0: of none that is known
) STRICT;

CREATE TABLE input (                     -- ALL that came from outside the machine, and all that a replay needs
    seq   INTEGER PRIMARY KEY,           -- from 0
    step  INTEGER NOT NULL,              -- steps completed when the machine saw it
    kind  INTEGER NOT NULL REFERENCES input_kind(id),
    value INTEGER,                       -- by input_kind.doc
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE event (                     -- what the machine did: derivable, kept to be looked at and compared
    seq   INTEGER PRIMARY KEY,           -- from 0
    step  INTEGER NOT NULL,
    kind  INTEGER NOT NULL REFERENCES event_kind(id),
    pc    INTEGER NOT NULL,              -- linear; the call site for a VMI call
    flags INTEGER NOT NULL,              -- EFLAGS in bits 0..31, virtual IF in 32, virtual IOPL in 33..34, CPL in 35..36
    a ANY, b ANY, c ANY, d ANY, e ANY, f ANY,   -- named for each kind by event_kind.a to f
    cause INTEGER REFERENCES event(seq)  -- the event that brought it about
) STRICT;

CREATE TABLE checkpoint (
    step         INTEGER PRIMARY KEY,
    inputs       INTEGER NOT NULL,       -- next input.seq to hand out
    events       INTEGER NOT NULL,       -- next event.seq to expect
    state        BLOB NOT NULL REFERENCES blob(hash),  -- the machine without its memory: CPU, devices, VMI state
    ram_digest   BLOB NOT NULL,          -- of all memory
    input_digest BLOB NOT NULL,          -- of all inputs before
    event_digest BLOB NOT NULL,          -- of all events before
    digest       BLOB NOT NULL           -- of all this together
) STRICT;

CREATE TABLE checkpoint_page (           -- the page frames that changed since the checkpoint before
    page INTEGER NOT NULL,               -- frame number
    step INTEGER NOT NULL REFERENCES checkpoint(step),
    blob INTEGER NOT NULL REFERENCES blob(id),
    PRIMARY KEY (page, step)             -- "page p as of step s" is one seek
) STRICT, WITHOUT ROWID;

CREATE TABLE progress (                  -- one row: how far the recording is complete, renewed by each transaction
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    step         INTEGER NOT NULL,       -- everything up to and with this step is here
    inputs       INTEGER NOT NULL,
    events       INTEGER NOT NULL,
    input_digest BLOB NOT NULL,
    event_digest BLOB NOT NULL
) STRICT;

CREATE TABLE ending (                    -- one row once the recording has ended in order
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    step   INTEGER NOT NULL,
    why    TEXT NOT NULL,
    code   INTEGER NOT NULL,
    detail TEXT NOT NULL,
    digest BLOB                          -- that of the checkpoint at the end, if there is one
) STRICT;

CREATE TABLE bookmark (
    name TEXT PRIMARY KEY,
    step INTEGER NOT NULL,
    note TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- The file explains itself.  These tables are filled from the program's own, whose numbers never change.

CREATE TABLE event_kind (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, family TEXT NOT NULL,
    a TEXT, b TEXT, c TEXT, d TEXT, e TEXT, f TEXT, doc TEXT NOT NULL
) STRICT;

CREATE TABLE input_kind (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL) STRICT;

CREATE TABLE vmi_call (
    id         INTEGER PRIMARY KEY,      -- generation << 8 | number, as in the events
    generation INTEGER NOT NULL,         -- 3 or 13
    number     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    family     TEXT NOT NULL,
    arguments  TEXT NOT NULL,
    results    TEXT NOT NULL,
    doc        TEXT NOT NULL
) STRICT;

CREATE TABLE word (                      -- words for the numbers in events
    topic TEXT NOT NULL,                 -- outcome, attempt, how, return_by, flag, mode (a bit), vector
    value INTEGER NOT NULL,
    word  TEXT NOT NULL,
    PRIMARY KEY (topic, value)
) STRICT, WITHOUT ROWID;
