-- library_bin holds the same rows in the same order, read backwards; one of the two is enough.

drop index if exists public.library_in_bin;
