"""The one object in which a recording and a replay differ (model.inputs.Tape). Knows no SQLite and no machine."""
