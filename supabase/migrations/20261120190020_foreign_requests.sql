-- A request that belongs to another job brings nothing to this one: it keeps nobody from purging it (SPEC "Purge").

create or replace function studio.purge_refusal(p_job uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  it public.jobs;
  sent studio.submissions;
begin
  select * into it from public.jobs j where j.id = p_job;
  if it.id is null then
    return 'There is no such job.';
  end if;
  if it.status in ('completed', 'failed', 'cancelled') then
    return format('It has ended already (%s); there is nothing to purge.', it.status);
  end if;
  if exists (select from public.workspace_assets a where a.job_id = p_job) then
    return 'Its picture is there. Recover it instead.';
  end if;
  select * into sent from studio.submissions s where s.job_id = p_job and s.outcome is distinct from 'not_accepted';
  if sent.id is not null and sent.receipt is not null and (sent.outcome is null or sent.outcome = 'finished') then
    return 'It was paid for, and its provider can still be asked for the picture. Recover it instead.';
  end if;
  if sent.id is not null and sent.receipt is null and sent.outcome is null then
    if it.stage is distinct from 'outcome_unknown' then
      return 'It is being sent to its provider. Look again when it has a receipt, or its outcome is unknown.';
    end if;
    return 'It was sent and its outcome is unknown. Look at the provider and settle it first.';
  end if;
  if sent.id is null and studio.as_uuid(it.metadata ->> 'fal_request_id') is not null and exists (
    select from public.api_models m join public.api_providers p on p.id = m.provider_id
    where m.id = it.api_model_id and lower(p.name) = 'fal'
  ) and not exists (
    select from studio.submissions other
    where other.provider = 'fal' and other.request_id = it.metadata ->> 'fal_request_id' and other.job_id <> p_job
  ) then
    return 'The platform noted a request of its provider, which may still bring the picture. Recover it instead.';
  end if;
  return null;
end $$;
