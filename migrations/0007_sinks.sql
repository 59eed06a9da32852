-- Sinks that are documents, and what operators ask of a sink: pause, resume, replay, another try of parked events.
alter table outbox_cursor
  -- `document`: the row goes with the sink's document. `configuration`: a replica's own settings name the sink.
  add column origin text not null default 'configuration' check (origin in ('configuration', 'document')),
  -- Grows with every such wish, so that the owner notices it and cannot write over it.
  add column epoch bigint not null default 0,
  add column paused_at timestamptz,
  add column paused_by text;
