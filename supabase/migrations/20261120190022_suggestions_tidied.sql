-- A click forgets nobody's answers any more: recovery does, and settles what lost its process.

create or replace function studio.ask_suggestion(
  p_character uuid, p_version integer, p_wanted text, p_model_key text, p_input_tokens integer, p_output_tokens integer,
  p_idempotency_key text, p_fingerprint text
) returns table (suggestion_id uuid, created boolean)
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  standing uuid;
  prices record;
  estimate numeric;
  made uuid;
begin
  if me is null or not studio.has_role('editor') then
    raise exception 'Suggestions need the editor role.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if p_character is not null and not coalesce(studio.may_read(studio.owner_of(p_character)), false) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if not coalesce(p_input_tokens between 1 and 1000000 and p_output_tokens between 1 and 1000000, false) then
    raise exception 'A suggestion takes 1 to 1000000 tokens.' using errcode = 'PS400', detail = 'BAD_REQUEST';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('suggestions:' || me::text, 0));
  if p_idempotency_key is not null then
    select s.id into standing from studio.suggestions s where s.user_id = me and s.idempotency_key = p_idempotency_key;
    if standing is not null then
      return query select standing, false;
      return;
    end if;
  end if;
  if (select count(*) from studio.suggestions s
      where s.user_id = me and s.outcome is null and s.asked_at > now() - interval '5 minutes') >= 5 then
    raise exception 'Five of your suggestions are being written already. Wait for one of them.'
      using errcode = 'PS429', detail = 'TOO_MANY';
  end if;
  select * into prices from studio.token_prices(p_model_key, now());
  estimate := round((p_input_tokens * prices.input_usd + p_output_tokens * prices.output_usd) / 1000000, 6);
  perform studio.hold_budget(me, estimate);
  insert into studio.suggestions (user_id, character_id, version, wanted, idempotency_key, fingerprint, model_key)
  values (me, p_character, p_version, p_wanted, p_idempotency_key, p_fingerprint, p_model_key)
  returning id into made;
  insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, units)
  values (made, 1, me, p_character, 'chat', p_model_key, 'estimated', estimate,
          jsonb_build_object('unit', 'tokens', 'input_tokens', p_input_tokens, 'output_tokens', p_output_tokens));
  return query select made, true;
end $$;

create index suggestions_lost on studio.suggestions (asked_at) where outcome is null;
