-- What each replica's sidecars report of services that fail somewhere, for the one replica that decides. Unlogged:
-- replicas write theirs again within a second or so.
create unlogged table traffic_tally (
  service text not null,
  replica text not null,
  -- Instances that some sidecar speaks against: the other replicas say what theirs have seen of them.
  suspects text[] not null,
  tally jsonb not null,
  at timestamptz not null,
  primary key (service, replica)
);
