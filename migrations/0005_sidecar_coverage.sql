-- What one run of a replica says of all its settled sidecars at once: each has everything up to this revision.
create unlogged table sidecar_coverage (
  replica text primary key,
  run text not null,
  revision bigint not null
);

-- The run that wrote the row: no other run's coverage speaks for it.
alter table sidecar add column run text not null default '';
