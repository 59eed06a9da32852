-- The registry, its revision log and what replicas share. Forward-only; see docs/architecture.md.

-- The one counter. Read and written only under the mesh's advisory lock, so that revision order is commit order.
create table mesh_revision (
  singleton boolean primary key default true check (singleton),
  revision bigint not null default 0,
  -- Given to registrations; see Instance.incarnation.
  incarnation bigint not null default 0
);
insert into mesh_revision default values;

create table instance (
  service text not null,
  id text not null,
  incarnation bigint not null,
  spec jsonb not null,
  verdict text not null,
  evidence jsonb not null,
  override jsonb,
  remove_at timestamptz,
  registered_at timestamptz not null,
  revision bigint not null,
  primary key (service, id)
);
create index instance_remove_at on instance (remove_at) where remove_at is not null;

create table document (
  kind text not null,
  name text not null,
  spec jsonb not null,
  revision bigint not null,
  primary key (kind, name)
);

-- The revision log, which is also the outbox: column names after Debezium's outbox event router.
create table change (
  id uuid not null,
  aggregatetype text not null,
  aggregateid text not null,
  type text not null,
  payload jsonb not null,
  revision bigint not null,
  position integer not null,
  occurred_at timestamptz not null,
  actor text not null,
  traceparent text,
  primary key (revision, position)
) partition by range (revision);

-- The partitions of the log, oldest first; retention drops whole ones.
create table change_partition (
  name text primary key,
  from_revision bigint not null unique,
  -- exclusive
  to_revision bigint not null unique,
  created_at timestamptz not null default clock_timestamp()
);

-- Makes sure that revisions up to and including `wanted` have a partition. Called under the advisory lock.
-- Returns the first revision that has none yet.
create function ensure_change_partition(wanted bigint, size bigint) returns bigint
language plpgsql as $$
declare
  upper_bound bigint;
  partition_name text;
begin
  select coalesce(max(to_revision), 1) into upper_bound from change_partition;
  while upper_bound <= wanted loop
    partition_name := format('change_%s', upper_bound);
    execute format('create table %I (like change including all)', partition_name);
    execute format('alter table change attach partition %I for values from (%s) to (%s)',
                   partition_name, upper_bound, upper_bound + size);
    insert into change_partition (name, from_revision, to_revision)
      values (partition_name, upper_bound, upper_bound + size);
    upper_bound := upper_bound + size;
  end loop;
  return upper_bound;
end
$$;

-- Heartbeats. Unlogged: a beat writes no WAL. Empty after a crash or a failover, which `recovery` covers.
create unlogged table lease (
  service text not null,
  id text not null,
  incarnation bigint not null,
  ttl_ms integer not null,
  seen_at timestamptz not null,
  primary key (service, id)
) with (fillfactor = 50);

-- When each check was last confirmed; the evidence itself is in the log. Unlogged like lease.
create unlogged table observation (
  service text not null,
  id text not null,
  source text not null,
  observer text not null,
  status text not null,
  output text not null,
  observed_at timestamptz not null,
  primary key (service, id, source)
) with (fillfactor = 50);

-- Work with one owner at a time. The fence only grows; fenced work names it in its own transaction.
create table role (
  name text primary key,
  owner text not null,
  fence bigint not null,
  expires_at timestamptz not null
);

-- The running control-plane processes.
create unlogged table replica (
  id text primary key,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  http text not null,
  xds text not null
);

-- What each connected sidecar has; written by the replica that serves it.
create unlogged table sidecar (
  node text primary key,
  replica text not null,
  status jsonb not null,
  seen_at timestamptz not null
);

create table outbox_cursor (
  sink text primary key,
  revision bigint not null,
  position integer not null,
  fence bigint not null,
  updated_at timestamptz not null
);

create table outbox_parked (
  sink text not null,
  change_id uuid not null,
  revision bigint not null,
  position integer not null,
  aggregatetype text not null,
  aggregateid text not null,
  event jsonb not null,
  error text not null,
  attempts integer not null,
  parked_at timestamptz not null,
  primary key (sink, change_id)
);
create index outbox_parked_aggregate on outbox_parked (sink, aggregatetype, aggregateid);
