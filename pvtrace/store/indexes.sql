-- Made when a recording has ended, not while it grows (that would cost half its speed).
-- Events are numbered in the order of their steps, so an index on one column also gives that order.
CREATE INDEX event_by_kind   ON event(kind);
CREATE INDEX event_by_step   ON event(step);
CREATE INDEX event_by_pc     ON event(pc);
CREATE INDEX event_by_cause  ON event(cause) WHERE kind = 2;   -- the return of a VMI call
CREATE INDEX input_by_step   ON input(step);
