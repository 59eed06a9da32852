-- What active checks count towards their thresholds, for whoever takes them over. Unlogged like observation: after a
-- crash of Postgres they begin to count anew.
create unlogged table check_progress (
  service text not null,
  id text not null,
  source text not null,
  status text,
  against integer not null,
  counted_at timestamptz not null,
  primary key (service, id, source)
);
