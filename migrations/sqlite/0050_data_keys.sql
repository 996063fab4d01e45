-- Keys of a life that its values are sealed with, themselves sealed with the master key; see `store/sealing`. A sealed value begins
-- with the number of its key, 0 for none. The scope says what is sealed: 1 for the keys of the device, which go with it, 2 for all
-- else.
CREATE TABLE data_keys (
    session BIGINT NOT NULL,
    number SMALLINT NOT NULL,
    scope SMALLINT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;

-- At most one row: by its proof, which is sealed, the master key is recognised. It is complete once all rows are sealed.
CREATE TABLE master_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    proof BLOB NOT NULL,
    is_complete BIGINT NOT NULL
);

-- These begin with the number of a key, too, from now on.
UPDATE pending SET message = CAST(x'00' || message AS BLOB);
UPDATE payloads SET payload = CAST(x'00' || payload AS BLOB);
UPDATE polls SET secret = CAST(x'00' || secret AS BLOB);
