-- The line of pictures that wait or are made, for the queue panel: everybody's places, words only where one may read
-- them (SPEC "Studio"; prompts of others are for admins). `kind` tells
-- what is made: a job for an attribute image has no character, its name is the cell it is for.

create function studio.line(p_limit integer) returns table (
  id uuid, user_id uuid, kind text, character_id uuid, character_name text, provider text, model text, status text,
  stage text, progress real, queue_position integer, place bigint, cancel_requested boolean, created_at timestamptz,
  started_at timestamptz, prompt text, mine boolean, may_read boolean
) language plpgsql stable security definer set search_path = '' as $$
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'The queue needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  return query
  select j.id, case when seen.may then j.user_id end, j.job_type, case when seen.may then j.character_id end,
         case when j.job_type = 'attribute_image' then (
                select concat_ws(', ', a.value, a.style) from studio.attribute_jobs a where a.job_id = j.id)
              when seen.may then coalesce(nullif(trim(c.name), ''), j.metadata ->> 'character_name') end,
         p.name, m.display_name, j.status, j.stage, j.progress, j.queue_position, waiting.place, j.cancel_requested,
         j.created_at, j.started_at,
         case when j.user_id = auth.uid() or studio.has_role('admin') then j.original_prompt end,
         j.user_id = auth.uid(), seen.may
  from public.jobs j
  left join public.api_models m on m.id = j.api_model_id
  left join public.api_providers p on p.id = m.provider_id
  left join public.characters c on c.id = j.character_id
  cross join lateral (select studio.may_read(j.user_id) as may) seen
  left join lateral (
    select 1 + count(*) as place from studio_queue.pgqueuer ahead
    join studio_queue.pgqueuer its on its.dedupe_key = 'job:' || j.id::text and its.status = 'queued'
    where ahead.entrypoint = its.entrypoint and ahead.status = 'queued'
      and (ahead.priority > its.priority or (ahead.priority = its.priority and ahead.id < its.id))
  ) waiting on j.status = 'queued'
  where j.runner = 'studio' and j.status in ('queued', 'processing')
  order by j.status = 'queued', waiting.place nulls first, j.created_at
  limit least(p_limit, 500);
end $$;
revoke execute on function studio.line(integer) from public;
grant execute on function studio.line(integer) to authenticated;
