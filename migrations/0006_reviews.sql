-- Verdicts that change by themselves: when an override or a hold for flapping ends, or evidence goes stale.
alter table instance add column flapping jsonb;
alter table instance add column review_at timestamptz;
create index instance_review_at on instance (review_at) where review_at is not null;
