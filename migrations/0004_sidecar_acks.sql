-- Who waits for which revision to be ACKed: until then the other replicas report on it. Unlogged: whoever waits
-- asks again.
create unlogged table ack_wanted (
  revision bigint not null,
  -- the replica that asks
  replica text not null,
  until timestamptz not null,
  primary key (revision, replica)
);

-- What the sidecars of one replica have made of such a revision.
create unlogged table ack_report (
  revision bigint not null,
  replica text not null,
  report jsonb not null,
  complete boolean not null,
  until timestamptz not null,
  primary key (revision, replica)
);

-- When the last stream of a sidecar ended; null: it is connected.
alter table sidecar add column ended_at timestamptz;
