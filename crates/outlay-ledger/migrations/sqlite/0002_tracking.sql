-- What scripts that log over the network say of their runs, and the things that people name and edit.

-- The experiment that a run belongs to: the `id` of a document of kind `experiment`; 0 is the one that is always there.
ALTER TABLE runs ADD COLUMN experiment_id INTEGER NOT NULL DEFAULT 0;
-- Where its files lie; empty for none.
ALTER TABLE runs ADD COLUMN artifact_uri TEXT NOT NULL DEFAULT '';
-- 1: it waits for its turn, and does not run yet, whatever `status` says.
ALTER TABLE runs ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;
-- When it was put away; its rows stay.
ALTER TABLE runs ADD COLUMN deleted_us INTEGER;
CREATE INDEX runs_experiment ON runs (experiment_id, started_us);

-- The newest point of a metric (by step, time, value) and the range of its numbers, so that lists of runs need not read points.
ALTER TABLE series ADD COLUMN last_step INTEGER;
ALTER TABLE series ADD COLUMN last_at_us INTEGER;
ALTER TABLE series ADD COLUMN last_value REAL;
ALTER TABLE series ADD COLUMN last_is_nan INTEGER;
ALTER TABLE series ADD COLUMN min_value REAL;
ALTER TABLE series ADD COLUMN max_value REAL;
UPDATE series SET
    (last_step, last_at_us, last_value, last_is_nan) = (
        SELECT step, at_us, value, is_nan FROM points WHERE series_id = series.id
        ORDER BY step DESC, at_us DESC, value DESC LIMIT 1),
    (min_value, max_value) = (
        SELECT min(value), max(value) FROM points WHERE series_id = series.id AND is_nan = 0);
CREATE INDEX series_key ON series (key, run_id);

ALTER TABLE datasets ADD COLUMN source_type TEXT NOT NULL DEFAULT '';
ALTER TABLE datasets ADD COLUMN schema TEXT;
ALTER TABLE datasets ADD COLUMN profile TEXT;
-- JSON: a list of pairs of name and value.
ALTER TABLE datasets ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
-- When the run said so; those that it named together differ in their order.
ALTER TABLE datasets ADD COLUMN added_us INTEGER NOT NULL DEFAULT 0;

-- Things that are read and written whole: experiments, models and their versions, users. `body` is JSON.
CREATE TABLE documents (
    kind TEXT NOT NULL,
    -- What belongs together, such as the versions of one model.
    shelf TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, shelf, id)
) WITHOUT ROWID;
CREATE INDEX documents_id ON documents (kind, id);

-- Models that a run read or made.
CREATE TABLE run_models (
    run_id TEXT NOT NULL REFERENCES runs (id),
    model_id TEXT NOT NULL,
    is_output INTEGER NOT NULL,
    step INTEGER NOT NULL,
    PRIMARY KEY (run_id, model_id, is_output, step)
) WITHOUT ROWID;

-- Values that runs measured of a model.
CREATE TABLE model_points (
    model_id TEXT NOT NULL,
    key TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    step INTEGER NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (id),
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (model_id, key, at_us, step, run_id, dataset_name, dataset_digest, value, is_nan)
) WITHOUT ROWID;
