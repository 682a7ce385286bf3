-- Made when a recording has ended, not while it grows (that would cost half its speed).
-- Events are numbered in the order of their steps: an index on one column also gives that order, and a step is found
-- by bisection, without an index of its own.
CREATE INDEX event_by_kind   ON event(kind);
CREATE INDEX event_by_pc     ON event(pc);
CREATE INDEX input_by_step   ON input(step);
