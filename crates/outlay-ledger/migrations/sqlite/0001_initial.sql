-- Instants are microseconds since 1970 in UTC; money is in millionths of a unit of its currency.

CREATE TABLE ledger (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    origin TEXT NOT NULL,
    -- The tree over the evidence: its size, the hashes at its right edge, and the last checkpoint that was signed.
    size INTEGER NOT NULL,
    edge BLOB NOT NULL,
    checkpoint TEXT NOT NULL
);

-- Keys that have signed checkpoints. Whether one is to be trusted is for the reader to say.
CREATE TABLE signers (
    verify_key TEXT PRIMARY KEY,
    who TEXT NOT NULL,
    since_us INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE evidence (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    recorded_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    -- The whole record as canonical JSON (RFC 8785), and its leaf in the tree (RFC 6962).
    record TEXT NOT NULL,
    leaf BLOB NOT NULL
);
CREATE INDEX evidence_subject ON evidence (subject, kind);

CREATE TRIGGER evidence_is_never_changed BEFORE UPDATE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is only ever added'); END;
CREATE TRIGGER evidence_is_never_deleted BEFORE DELETE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is only ever added'); END;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    project TEXT NOT NULL,
    team TEXT NOT NULL,
    who TEXT NOT NULL,
    host TEXT NOT NULL,
    command TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'stopped', 'lost')),
    started_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL,
    ended_us INTEGER,
    exit_code INTEGER,
    -- JSON: what a later process needs to go on metering, and what was found in the end.
    state TEXT NOT NULL,
    summary TEXT
) WITHOUT ROWID;
CREATE INDEX runs_started ON runs (started_us);
CREATE INDEX runs_project ON runs (project, started_us);

CREATE TABLE params (
    run_id TEXT NOT NULL REFERENCES runs (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;

CREATE TABLE tags (
    run_id TEXT NOT NULL REFERENCES runs (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;

-- A metric of a run; its points are kept apart so that each takes a few dozen bytes.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (id),
    key TEXT NOT NULL,
    UNIQUE (run_id, key)
);

-- The whole point is its key: writing one again, after an answer that never came, changes nothing.
CREATE TABLE points (
    series_id INTEGER NOT NULL REFERENCES series (id),
    step INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (series_id, step, at_us, value, is_nan)
) WITHOUT ROWID;

CREATE TABLE datasets (
    run_id TEXT NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    context TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (run_id, name, digest, context)
) WITHOUT ROWID;

CREATE TABLE artifacts (
    run_id TEXT NOT NULL REFERENCES runs (id),
    path TEXT NOT NULL,
    uri TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    added_us INTEGER NOT NULL,
    PRIMARY KEY (run_id, path)
) WITHOUT ROWID;

-- A correction is an entry of its own, with the opposite sign.
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    -- Given by the writer: an entry that is written again is the same entry.
    entry TEXT NOT NULL UNIQUE,
    run_id TEXT REFERENCES runs (id),
    project TEXT NOT NULL,
    team TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    amount_micro INTEGER NOT NULL,
    currency TEXT NOT NULL,
    quality TEXT NOT NULL CHECK (quality IN ('counter', 'sampled', 'modelled')),
    note TEXT NOT NULL
);
CREATE INDEX spending_run ON spending (run_id);
CREATE INDEX spending_time ON spending (to_us);

CREATE TRIGGER spending_is_never_changed BEFORE UPDATE ON spending
BEGIN SELECT RAISE(ABORT, 'spending is only ever added'); END;
CREATE TRIGGER spending_is_never_deleted BEFORE DELETE ON spending
BEGIN SELECT RAISE(ABORT, 'spending is only ever added'); END;

CREATE TABLE budgets (
    name TEXT PRIMARY KEY,
    -- What it covers: empty means every project, or every team.
    project TEXT NOT NULL,
    team TEXT NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('total', 'month')),
    limit_micro INTEGER NOT NULL CHECK (limit_micro > 0),
    currency TEXT NOT NULL,
    -- Shares at which to warn, in percent, as a JSON list.
    warn_at TEXT NOT NULL,
    set_us INTEGER NOT NULL
) WITHOUT ROWID;
