-- Suggestions bought from a chat model: asked once for each idempotency key, held against budgets like a picture.
-- The ledger's job_id is the suggestion's id. Answers hold what people wrote and are forgotten after a day.

create table studio.suggestions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  character_id uuid,
  version integer,
  wanted text not null,
  idempotency_key text,
  fingerprint text not null,
  model_key text not null,
  asked_at timestamptz not null default now(),
  outcome text check (outcome in ('answered', 'failed', 'unknown')),
  error_code text,
  error_message text,
  answer jsonb,
  settled_at timestamptz
);
comment on column studio.suggestions.outcome is 'null: on its way. unknown: it left and no answer came; never sent again.';
create unique index suggestions_once on studio.suggestions (user_id, idempotency_key) where idempotency_key is not null;
create index suggestions_open on studio.suggestions (user_id, asked_at) where outcome is null;
create index suggestions_with_answer on studio.suggestions (asked_at) where answer is not null;
alter table studio.suggestions enable row level security;
create policy studio_service on studio.suggestions for all to service_role using (true) with check (true);
create policy reads on studio.suggestions for select to authenticated
  using (studio.has_role('editor') and user_id = auth.uid());
grant select on studio.suggestions to authenticated;
grant all on studio.suggestions to service_role;

-- Dollars for a million tokens of a chat model at a moment; null where not known.
create function studio.token_prices(p_model_key text, p_at timestamptz)
returns table (input_usd numeric, output_usd numeric)
language sql stable security definer set search_path = '' as $$
  select max(newest.price) filter (where newest.unit = 'million_input_tokens'),
         max(newest.price) filter (where newest.unit = 'million_output_tokens')
  from (
    select distinct on (p.unit) p.unit, p.price, p.valid_until
    from studio.model_prices p
    join public.api_models m on m.id = p.model_id and m.modality = 'chat' and m.model_key = p_model_key
    join public.api_providers o on o.id = m.provider_id and o.name = 'chat'
    where p.unit in ('million_input_tokens', 'million_output_tokens') and p.valid_from <= p_at
    order by p.unit, p.valid_from desc
  ) newest
  where newest.valid_until is null or newest.valid_until > p_at
$$;
revoke execute on function studio.token_prices(text, timestamptz) from public;

create function studio.ask_suggestion(
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
revoke execute on function studio.ask_suggestion(uuid, integer, text, text, integer, integer, text, text) from public;
grant execute on function studio.ask_suggestion(uuid, integer, text, text, integer, integer, text, text) to authenticated;
