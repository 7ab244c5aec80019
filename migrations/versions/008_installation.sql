-- The id of this database, which ties a storage to it. Deleting files without a row here, in the storage of another
-- database, would delete everything.
CREATE TABLE bedel_installation (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), -- at most one row
    tied_at timestamptz -- when the first storage was marked with this id; later storages are refused
);
COMMENT ON TABLE bedel_installation IS 'One row: the id that the storage''s object .bedel-installation repeats.';
INSERT INTO bedel_installation DEFAULT VALUES;
