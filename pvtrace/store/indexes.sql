-- Made when a recording has ended, not while it grows (that would cost half its speed).
-- Events are numbered in the order of their steps: an index on one column also gives that order, and a step is found
-- by bisection, without an index of its own. Who asks for addresses reads all events, a million in less than 0.1 s,
-- which is less than an index on them costs while it is made.
CREATE INDEX event_by_kind   ON event(kind);
CREATE INDEX input_by_step   ON input(step);
