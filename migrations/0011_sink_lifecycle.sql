-- How sinks end that nobody declares, and what those have missed that waited for too long.
alter table outbox_cursor
  -- When a replica last said that its configuration has this sink; once a minute. Of no meaning for a document's.
  add column declared_at timestamptz not null default clock_timestamp(),
  -- The last time that the log did not continue where the sink was: deliveredTo, resumesAfter, reason, at.
  add column gap jsonb;
