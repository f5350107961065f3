-- Pictures of scenes: asked for by the way of a portrait (one price, one budget, one queue), told apart by
-- metadata.destination, which is written here and not by the caller (SPEC "Prompt", "Studio"; decision 0022).

create function studio.ask_scene(
  p_scene uuid, p_model uuid, p_prompt text, p_metadata jsonb, p_width integer, p_height integer,
  p_idempotency_key text, p_retried_from uuid, p_max_waiting integer
) returns table (job_id uuid, created boolean)
language plpgsql security definer set search_path = '' as $$
declare
  its_character uuid;
  asked record;
begin
  select s.character_id into its_character from public.character_scenes s where s.id = p_scene;
  if its_character is null or not studio.may_change(studio.owner_of(its_character)) then
    raise exception 'This scene does not exist any more, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  select a.job_id, a.created into asked
  from studio.ask(its_character, p_model, p_prompt, p_metadata, p_width, p_height, p_idempotency_key, p_retried_from,
                  p_max_waiting) a;
  if asked.created then
    update public.jobs j set job_type = 'character_scene',
      metadata = j.metadata || jsonb_build_object('destination', 'character_scene', 'scene_id', p_scene)
    where j.id = asked.job_id;
  end if;
  return query select asked.job_id, asked.created;
end $$;
revoke execute on function studio.ask_scene(uuid, uuid, text, jsonb, integer, integer, text, uuid, integer) from public;
grant execute on function studio.ask_scene(uuid, uuid, text, jsonb, integer, integer, text, uuid, integer) to authenticated;

create index if not exists jobs_of_scene on public.jobs (character_id, created_at desc)
  where (metadata ->> 'destination') = 'character_scene';

-- Open pages hear of scenes too; studio.tell never fails a writer.
create trigger tell after insert or update or delete on public.character_scenes
  for each row execute function studio.tell();
