-- Many attribute images are judged at once by who judges one (SPEC "Attribute images").
insert into studio.bulk_kinds (kind, roles) values
  ('approve_images', '{product,admin}'),
  ('reject_images', '{product,admin}')
on conflict do nothing;
