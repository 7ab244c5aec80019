-- Names this database, so that a storage can be tied to it: deleting files that have no row here, in a storage that
-- belongs to another database, would delete everything.
CREATE TABLE bedel_installation (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), -- no second row can exist
    tied_at timestamptz -- when the first storage was marked with this id; from then on no other one is
);
COMMENT ON TABLE bedel_installation IS 'One row: the id that the storage''s object .bedel-installation repeats.';
INSERT INTO bedel_installation DEFAULT VALUES;
