-- The attributes page says what product thinks of a picture (SPEC "Attribute images").

-- A verdict on the picture that was looked at: `p_image` is its address, so that nobody approves a newer one unseen.
-- `p_names` are the cell's own name and its aliases: rows that show the same picture are judged with it. How many rows.
create or replace function studio.review_attribute_image(
  p_category text, p_names text[], p_style text, p_image text, p_verdict text, p_note text
) returns integer language plpgsql security definer set search_path = '' as $$
declare
  names text[] := array(select lower(btrim(n)) from unnest(p_names) n);
  before jsonb;
  judged integer;
begin
  perform studio.refuse_unless_product();
  if p_verdict is null or p_verdict not in ('pending', 'approved', 'rejected') then
    raise exception 'A picture is approved, rejected or pending.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'verdict';
  end if;
  if length(p_note) > 500 then
    raise exception 'A note takes at most 500 characters.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'note';
  end if;
  if not exists (
    select from studio.attribute_pictures v
    where v.category = p_category and v.style = p_style and lower(btrim(v.value)) = any (names)
  ) then
    raise exception 'There is no picture here to be judged.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  select jsonb_agg(jsonb_build_object('value', v.value, 'review', v.review_status, 'note', v.review_note)) into before
  from studio.attribute_pictures v
  where v.category = p_category and v.style = p_style and v.image_url = p_image and lower(btrim(v.value)) = any (names);
  if p_category = 'style' then
    update public.style_images s
    set review_status = p_verdict, review_note = nullif(btrim(p_note), ''), reviewed_by = auth.uid(), reviewed_at = now()
    where s.style = p_style and s.image_url = p_image and lower(btrim(s.style)) = any (names);
  else
    update public.attribute_images a
    set review_status = p_verdict, review_note = nullif(btrim(p_note), ''), reviewed_by = auth.uid(), reviewed_at = now()
    where a.category = p_category and a.style = p_style and a.image_url = p_image and lower(btrim(a.value)) = any (names);
  end if;
  get diagnostics judged = row_count;
  if judged = 0 then
    raise exception 'A newer picture stands here by now. Look at it, then judge it.'
      using errcode = 'PS409', detail = 'NEWER_PICTURE';
  end if;
  perform studio.note_audit('attribute_image_reviewed',
    case when p_category = 'style' then 'style_images' else 'attribute_images' end, p_image,
    jsonb_build_object('rows', before),
    jsonb_build_object('category', p_category, 'value', p_names[1], 'style', p_style, 'review', p_verdict),
    nullif(btrim(p_note), ''));
  return judged;
end $$;
revoke execute on function studio.review_attribute_image(text, text[], text, text, text, text) from public;
grant execute on function studio.review_attribute_image(text, text[], text, text, text, text) to authenticated;
