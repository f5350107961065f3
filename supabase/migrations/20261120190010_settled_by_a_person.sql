-- Settling an unknown outcome: never one that is being sent just now, and what QA stated gives way to what really came.

-- Null where a person may say what became of a request without a receipt, else why not yet, in a sentence. A run that
-- sends does not beat meanwhile, so a job that was ended from outside is not believed for a quarter of an hour.
create function studio.settling_refusal(p_job uuid, p_sent_at timestamptz) returns text
language sql stable security definer set search_path = '' as $$
  select 'It is being sent just now, so its receipt may still come. Settle it when its outcome is unknown.'
  where exists (
    select from public.jobs j where j.id = p_job and j.stage is distinct from 'outcome_unknown'
      and (j.status in ('queued', 'processing') or p_sent_at > clock_timestamp() - interval '15 minutes'))
$$;
revoke execute on function studio.settling_refusal(uuid, timestamptz) from public;

create function studio.refuse_settler(p_why text) returns void language plpgsql stable set search_path = '' as $$
begin
  if not studio.has_role('qa', 'admin') then
    raise exception 'Settling an unknown outcome needs the qa role.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if coalesce(trim(p_why), '') = '' or length(p_why) > 500 then
    raise exception 'Say in a few words what you found at the provider, in at most 500 characters.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
end $$;
revoke execute on function studio.refuse_settler(text) from public;

create or replace function studio.settle_unknown(p_job uuid, p_billed boolean, p_why text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  sent studio.submissions;
  refusal text;
begin
  perform studio.refuse_settler(p_why);
  perform from public.jobs j where j.id = p_job for update;
  select * into sent from studio.submissions s
  where s.job_id = p_job and s.receipt is null and s.outcome is null for update;
  if sent.id is null then
    raise exception 'This job has no unknown outcome.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  refusal := studio.settling_refusal(p_job, sent.submitted_at);
  if refusal is not null then
    raise exception '%', refusal using errcode = 'PS409', detail = 'BEING_SENT';
  end if;
  update studio.submissions set outcome = 'given_up', settled_at = clock_timestamp(), settled_by = auth.uid()::text
  where id = sent.id;
  insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
  select e.job_id, sent.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed',
         case when p_billed then e.amount_usd when not p_billed then 0 end, 'settled by a person'
  from studio.cost_entries e where e.job_id = p_job and e.kind = 'estimated' order by e.attempt limit 1
  on conflict do nothing;
  update public.jobs set status = 'failed', stage = null, error_code = 'GIVEN_UP',
    error_message = case
      when p_billed then 'The request was lost on its way: QA found it charged, and no picture to be had. Try again.'
      when not p_billed then 'The request was lost on its way, and QA found no picture at the provider. Try again.'
      else 'The request was lost on its way, and QA could not find out what became of it. Try again.' end
  where id = p_job and status in ('processing', 'failed');
  perform studio.note_audit('unknown_settled', 'jobs', p_job::text, null, jsonb_build_object('billed', p_billed), p_why);
end $$;

-- A person has found the request at its provider: recorded before its receipt is kept. A request that was given up may
-- be found later. Nothing is changed here; the receipt is written by the service, which asked the provider.
create function studio.note_found(p_job uuid, p_request_id text, p_why text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  sent studio.submissions;
  refusal text;
begin
  perform studio.refuse_settler(p_why);
  perform from public.jobs j where j.id = p_job for update;
  select * into sent from studio.submissions s
  where s.job_id = p_job and s.receipt is null and (s.outcome is null or s.outcome = 'given_up');
  if sent.id is null then
    raise exception 'This job has no unknown outcome.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  refusal := case when sent.outcome is null then studio.settling_refusal(p_job, sent.submitted_at) end;
  if refusal is not null then
    raise exception '%', refusal using errcode = 'PS409', detail = 'BEING_SENT';
  end if;
  perform studio.note_audit('unknown_found', 'jobs', p_job::text, null,
    jsonb_build_object('request_id', p_request_id), p_why);
end $$;
revoke execute on function studio.note_found(uuid, text, text) from public;
grant execute on function studio.note_found(uuid, text, text) to authenticated;

-- The ledger is append-only, so what QA stated stays; what the run computes when the request ends after all stands
-- beside it, and the newest computed entry counts.
drop index studio.cost_once;
create unique index cost_once on studio.cost_entries (job_id, attempt, kind, (note is not distinct from 'settled by a person'))
  where kind <> 'refund';

create or replace view studio.spend with (security_invoker = true) as
select distinct on (e.job_id, e.attempt)
  e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, e.kind,
  (select min(f.at) from studio.cost_entries f where f.job_id = e.job_id and f.attempt = e.attempt) as at,
  e.amount_usd + coalesce((select sum(r.amount_usd) from studio.cost_entries r
    where r.job_id = e.job_id and r.attempt = e.attempt and r.kind = 'refund'), 0) as amount_usd,
  e.amount_usd is null as is_unknown
from studio.cost_entries e
where e.kind <> 'refund'
order by e.job_id, e.attempt, array_position(array['billed', 'computed', 'estimated'], e.kind), e.id desc;

create or replace function studio.best_cost(p_job uuid, p_attempt integer) returns table (amount_usd numeric)
language sql stable security definer set search_path = '' as $$
  select e.amount_usd + coalesce((select sum(r.amount_usd) from studio.cost_entries r
    where r.job_id = p_job and r.attempt = p_attempt and r.kind = 'refund'), 0)
  from studio.cost_entries e
  where e.job_id = p_job and e.attempt = p_attempt and e.kind <> 'refund'
  order by array_position(array['billed', 'computed', 'estimated'], e.kind), e.id desc
  limit 1
$$;

create or replace function studio.budget_used(p_user uuid, p_since timestamptz, p_reserve numeric)
returns table (spent numeric, held numeric, unknown bigint)
language sql stable security definer set search_path = '' as $$
  select coalesce(sum(a.known + a.refunded), 0),
         coalesce(sum(coalesce(a.estimate, p_reserve, 0)) filter (where a.known is null), 0),
         count(*) filter (where a.known is null and a.estimate is null)
  from (
    select max(e.amount_usd) filter (where e.kind = 'estimated') as estimate,
           case when bool_or(e.kind = 'billed') then max(e.amount_usd) filter (where e.kind = 'billed')
                else (array_agg(e.amount_usd order by e.id desc) filter (where e.kind = 'computed'))[1] end as known,
           coalesce(sum(e.amount_usd) filter (where e.kind = 'refund'), 0) as refunded
    from studio.cost_entries e
    where e.at >= p_since and (p_user is null or e.user_id = p_user)
    group by e.job_id, e.attempt
    having bool_or(e.kind = 'estimated')
  ) a
$$;
