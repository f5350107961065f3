-- What the overview's windows read, from the index alone: a day's jobs among a million cost as much as a day's jobs.
create index if not exists jobs_in_time on public.jobs (created_at desc)
  include (status, api_model_id, started_at, completed_at, user_id);

-- The ledger of a time, from the index alone.
create index if not exists cost_in_time on studio.cost_entries (at)
  include (job_id, attempt, kind, amount_usd, user_id, id);
