-- What each webhook did: one row a message, however often it came. Digests and words only; no body, address or token.

create table studio.callbacks (
  id bigint generated always as identity primary key,
  provider text not null,
  fingerprint bytea not null,
  proof text check (proof in ('signed', 'hint')),
  request_id text,
  word text not null default '',
  submission_id uuid,
  job_id uuid,
  deed text not null,
  last_deed text not null,
  times integer not null default 1,
  first_at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  unique (provider, fingerprint)
);
comment on column studio.callbacks.fingerprint is
  'sha-256 of the submission and the body; of the reason and the day where the message was refused, so that forged ones fill no table';
comment on column studio.callbacks.proof is 'null: refused';
create index callbacks_of_job on studio.callbacks (job_id, id) where job_id is not null;
create index callbacks_to_confirm on studio.callbacks (submission_id) where last_deed = 'asking';

alter table studio.callbacks enable row level security;
grant all on studio.callbacks to service_role;
create policy reads on studio.callbacks for select to authenticated
  using (case when job_id is null then studio.has_role('qa', 'admin') else studio.may_read_job(job_id) end);
grant select on studio.callbacks to authenticated;
