-- What asking for an attribute image looks at: a placeholder of Sketch holds no place against a real picture, and a run's
-- limit and its plan count with one figure.

-- True where a job's picture was drawn by the built-in Sketch.
create function studio.is_sketched(p_job uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.jobs j where j.id = p_job and j.metadata ->> 'provider' = 'sketch')
$$;
revoke execute on function studio.is_sketched(uuid) from public;
grant execute on function studio.is_sketched(uuid) to authenticated, service_role;

-- What one picture holds against a run's limit: a started megapixel whole, as providers bill it; null: not known.
create function studio.price_held(p_model uuid, p_width integer, p_height integer) returns numeric
language sql stable security definer set search_path = '' as $$
  select case price.unit
    when 'megapixel' then ceil(p_width * p_height / 1000000.0)
      * (select at.price from studio.price_at(p_model, p_width, p_height, now()) at)
    else price.amount end
  from studio.price_of(p_model, p_width, p_height) price
$$;
revoke execute on function studio.price_held(uuid, integer, integer) from public;
grant execute on function studio.price_held(uuid, integer, integer) to authenticated;
