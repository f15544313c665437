//! Filters and sort keys with what they mean, or with why they are refused, checked against
//! MLflow 3.17.2. A few, marked "ours", make MLflow's server fail rather than refuse them.

use outlay_ledger::{Condition, Field, MetricDataset, Operand, Order, Test};
use outlay_server::mlflow::filter::{
    FilterError, LoggedModelOrder, parse_experiments_filter, parse_experiments_order_by,
    parse_logged_models_filter, parse_logged_models_order_by, parse_model_versions_filter,
    parse_model_versions_order_by, parse_registered_models_filter,
    parse_registered_models_order_by, parse_runs_filter, parse_runs_order_by, within_datasets,
};

fn field(field: &Field) -> String {
    match field {
        Field::Attribute(key) => format!("attribute {key}"),
        Field::Metric(key) => format!("metric {key}"),
        Field::Parameter(key) => format!("parameter {key}"),
        Field::Tag(key) => format!("tag {key}"),
        Field::Dataset(key) => format!("dataset {key}"),
        Field::AnyMetric => "any metric".to_owned(),
        Field::Least(key) => format!("least {key}"),
        Field::Greatest(key) => format!("greatest {key}"),
    }
}

fn condition(condition: &Condition) -> String {
    let test = match condition.test {
        Test::Equal => "=",
        Test::NotEqual => "!=",
        Test::Less => "<",
        Test::LessOrEqual => "<=",
        Test::Greater => ">",
        Test::GreaterOrEqual => ">=",
        Test::Like => "LIKE",
        Test::ILike => "ILIKE",
        Test::In => "IN",
        Test::NotIn => "NOT IN",
        Test::IsNull => "IS NULL",
        Test::IsNotNull => "IS NOT NULL",
    };
    let operand = match &condition.operand {
        Operand::Nothing => String::new(),
        Operand::Integer(number) => format!(" {number}"),
        Operand::Number(number) => format!(" {number:?}"),
        Operand::Text(text) => format!(" {text:?}"),
        Operand::Texts(texts) => format!(" {texts:?}"),
    };
    format!("{} {test}{operand}", field(&condition.field))
}

fn conditions(read: Result<Vec<Condition>, FilterError>) -> String {
    match read {
        Ok(found) if found.is_empty() => "everything".to_owned(),
        Ok(found) => found.iter().map(condition).collect::<Vec<_>>().join(" & "),
        Err(FilterError(message)) => format!("error: {message}"),
    }
}

fn orders(read: Result<Vec<Order>, FilterError>) -> String {
    match read {
        Ok(found) => found
            .iter()
            .map(|order| {
                let direction = if order.ascending { "up" } else { "down" };
                format!("{} {direction}", field(&order.field))
            })
            .collect::<Vec<_>>()
            .join(", "),
        Err(FilterError(message)) => format!("error: {message}"),
    }
}

fn check(cases: &[(&str, &str)], read: impl Fn(&str) -> String) {
    for (text, expected) in cases {
        assert_eq!(read(text), *expected, "of {text:?}");
    }
}

fn clauses(text: &str) -> Vec<String> {
    text.split('|').map(str::to_owned).collect()
}

#[rustfmt::skip]
const RUNS: &[(&str, &str)] = &[
    ("metrics.loss > 0.5", "metric loss > 0.5"),
    ("metric.loss<=1 and params.lr = '0.01' AnD tags.`mlflow.source.name` != \"train.py\"", "metric loss <= 1.0 & parameter lr = \"0.01\" & tag mlflow.source.name != \"train.py\""),
    ("metrics.`a b` >= -1", "metric a b >= -1.0"),
    ("metrics.\"a.b\" < .5", "metric a.b < 0.5"),
    ("metrics.a.b.c = 1e-3", "metric a.b.c = 0.001"),
    ("`metrics`.a != 5.", "metric a != 5.0"),
    ("parameters.`x y` LIKE '%a_'", "parameter x y LIKE \"%a_\""),
    ("param.x ilike 'A%'", "parameter x ILIKE \"A%\""),
    ("parameter.x = 'it''s'", "parameter x = \"it''s\""),
    ("params.x = \"it's\"", "parameter x = \"it's\""),
    ("params.x = ''", "parameter x = \"\""),
    ("status = 'FINISHED'", "attribute status = \"FINISHED\""),
    ("attribute.run_id IN ('a', \"b\")", "attribute run_id IN [\"a\", \"b\"]"),
    ("run_id not in('a')", "attribute run_id NOT IN [\"a\"]"),
    ("run_id IN ('a' 'b', r'\\n', '\\n',)", "attribute run_id IN [\"ab\", \"\\\\n\", \"\\n\"]"),
    ("attr.start_time > 1700000000000", "attribute start_time > 1700000000000"),
    ("run.end_time <= 1.5", "attribute end_time <= 1.5"),
    ("created >= 5", "attribute start_time >= 5"),
    ("attributes.Created = 1", "attribute start_time = 1"),
    ("attribute.`Run name` = 'x'", "attribute run_name = \"x\""),
    ("`run name` LIKE 'x%'", "attribute run_name LIKE \"x%\""),
    ("user_id = 'me' artifact_uri != 'x'", "attribute user_id = \"me\" & attribute artifact_uri != \"x\""),
    ("dataset.name = 'd' AND datasets.digest IN ('1', '2') AND dataset.context LIKE 'tr%'", "dataset name = \"d\" & dataset digest IN [\"1\", \"2\"] & dataset context LIKE \"tr%\""),
    ("tags.a IS NULL AND params.b is not null", "tag a IS NULL & parameter b IS NOT NULL"),
    ("tags.a IS NOT NULL", "tag a IS NOT NULL"),
    ("tags.count = 'x' AND tags.version = 'y'", "tag count = \"x\" & tag version = \"y\""),
    ("tags.a[0] = 'x'", "tag a[0] = \"x\""),
    ("tags.a::b = 'x'", "tag a::b = \"x\""),
    ("AND", "everything"),
    (" metrics.a > 1 AND AND metrics.b < 2 ", "metric a > 1.0 & metric b < 2.0"),
    ("metrics.a>1AND metrics.b<2", "error: Expected numeric value type for metric. Found 1AND"),
    ("", "everything"),
    ("metrics.a = '1'", "error: Expected numeric value type for metric. Found '1'"),
    ("metrics.a = 0x1F", "error: Invalid clause(s) in filter string: 'metrics.a', '=', '0x1F'"),
    ("metrics.a IN (1, 2)", "error: Expected numeric value type for metric. Found (1, 2)"),
    ("metrics.a LIKE 1", "error: Invalid comparator 'LIKE' not one of '{'>', '>=', '!=', '=', '<', '<='}"),
    ("metrics.a IS NULL", "error: IS NULL / IS NOT NULL is only supported for tags and params, not for 'metric' 'a'"),
    ("metrics.a-b > 1", "error: Invalid comparison clause. Expected 'Identifier' found 'metrics.a-b'"),
    ("metrics.a > 1 > 2", "error: Invalid comparison clause. Expected 'Identifier' found 'metrics.a > 1'"),
    ("metrics.a > 1 OR metrics.b > 2", "error: Invalid clause(s) in filter string: 'OR'"),
    ("(metrics.a > 1)", "error: Invalid clause(s) in filter string: '(metrics.a > 1)'"),
    ("metrics.a > 1;", "error: Invalid clause(s) in filter string: ';'"),
    ("metrics.a > 1; metrics.b > 2", "error: Search filter contained multiple expression 'metrics.a > 1; metrics.b > 2'. Provide AND-ed expression list."),
    ("metrics.a > 1, metrics.b > 2", "error: Invalid clause(s) in filter string: 'metrics.a > 1, metrics.b > 2'"),
    ("metrics.a > 1 -- note", "error: Invalid clause(s) in filter string: '-- note'"),
    ("metrics.a", "error: Invalid clause(s) in filter string: 'metrics.a'"),
    ("metrics.a > ", "error: Invalid clause(s) in filter string: 'metrics.a', '>'"),
    ("> 1", "error: Invalid clause(s) in filter string: '>', '1'"),
    ("foo.bar = 'x'", "error: Invalid entity type 'foo'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"),
    ("foo = 'x'", "error: Invalid attribute key 'foo' specified. Valid keys are '{'artifact_uri', 'end_time', 'run_id', 'run_name', 'start_time', 'status', 'user_id', 'created', 'Created', 'run name', 'Run name', 'Run Name'}'"),
    ("Metrics.a > 1", "error: Invalid entity type 'Metrics'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"),
    ("metrics . a > 1", "error: Invalid entity type 'metrics '. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"),
    ("`metrics.a` > 1", "error: Invalid entity type '`metrics'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"),
    ("params.a = 1", "error: Expected a quoted string value for parameter (e.g. 'my-value'). Got value 1"),
    ("params.a = x", "error: Parameter value is either not quoted or unidentified quote types used for string value x. Use either single or double quotes."),
    ("params.a = 'x", "error: Invalid clause(s) in filter string: 'params.a', '=', ''', 'x'"),
    ("params.a = `x`", "error: Parameter value is either not quoted or unidentified quote types used for string value `x`. Use either single or double quotes."),
    ("params.a > 'x'", "error: Invalid comparator '>' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}'"),
    ("params.a IN ('x')", "error: Expected a quoted string value for parameter (e.g. 'my-value'). Got value ('x')"),
    ("params.a == 'x'", "error: Invalid comparator '==' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}'"),
    ("params.a NOT LIKE 'x'", "error: Invalid comparator 'NOT LIKE' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}'"),
    ("tags.a > 'x'", "error: Invalid comparator '>' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}"),
    ("tags.a RLIKE 'x'", "error: Invalid comparator 'RLIKE' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}"),
    ("tags.a = NULL", "error: Expected a quoted string value for tag (e.g. 'my-value'). Got value NULL"),
    ("status > 'x'", "error: Invalid comparator '>' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}'"),
    ("status IN ('a')", "error: Only ['run_id'] attributes support comparison with a list of quoted string values."),
    ("status IS NULL", "error: IS NULL / IS NOT NULL is only supported for tags and params, not for 'attribute' 'status'"),
    ("status = 1", "error: Expected a quoted string value for attributes. Got value 1"),
    ("start_time = '1'", "error: Expected numeric value type for numeric attribute: start_time. Found '1'"),
    ("start_time LIKE 1", "error: Invalid comparator 'LIKE' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}"),
    ("start_time IN (1)", "error: Expected numeric value type for numeric attribute: start_time. Found (1)"),
    // Ours.
    ("start_time > 99999999999999999999", "error: The number 99999999999999999999 is too large."),
    ("run_id IN ()", "error: While parsing a list in the query, expected a non-empty list of string values, but got empty list"),
    ("run_id IN ('a', 1)", "error: While parsing a list in the query, expected string value, punctuation, or whitespace, but got different type in list: ('a', 1)"),
    ("run_id IN ('a'", "error: Invalid clause(s) in filter string: 'run_id', 'IN', '(', ''a''"),
    // Ours.
    ("run_id IN (a)", "error: While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list."),
    // Ours.
    ("run_id = ('a')", "error: A list of values can be compared with IN and NOT IN only."),
    ("dataset.x = 'y'", "error: Invalid dataset key 'x' specified. Valid keys are '{'name', 'digest', 'context'}'"),
    ("dataset.name > 'y'", "error: Invalid comparator '>' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}"),
    ("dataset.name = 1", "error: Expected a quoted string value for dataset attributes. Got value 1"),
    (" ", "error: Invalid filter ' '. Could not be parsed."),
    ("lifecycle_stage = 'active'", "error: Invalid attribute key 'lifecycle_stage' specified. Valid keys are '{'artifact_uri', 'end_time', 'run_id', 'run_name', 'start_time', 'status', 'user_id', 'created', 'Created', 'run name', 'Run name', 'Run Name'}'"),
];

#[rustfmt::skip]
const EXPERIMENTS: &[(&str, &str)] = &[
    ("name = 'x'", "attribute name = \"x\""),
    ("attribute.name LIKE '%x' AND tags.a = 'b'", "attribute name LIKE \"%x\" & tag a = \"b\""),
    ("name ILIKE 'x'", "attribute name ILIKE \"x\""),
    ("`name` != \"x\"", "attribute name != \"x\""),
    ("experiment_id IN ('1', ' 02 ')", "attribute experiment_id IN [\"1\", \"2\"]"),
    ("experiment_id = '1_0'", "attribute experiment_id = \"10\""),
    ("creation_time >= 5 AND last_update_time < 7", "attribute creation_time >= 5 & attribute last_update_time < 7"),
    ("tag.a IS NULL AND tags.`b c` IS NOT NULL", "tag a IS NULL & tag b c IS NOT NULL"),
    ("name like 'x'", "error: Invalid comparator 'like' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}'"),
    ("tags.a ilike 'x'", "error: Invalid comparator for tag: ilike"),
    ("name IN ('x')", "error: Only ['experiment_id'] attributes support comparison with a list of quoted string values."),
    ("name > 'x'", "error: Invalid comparator '>' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}'"),
    ("name IS NULL", "error: IS NULL / IS NOT NULL is only supported for tags, not for attribute 'name'"),
    ("experiment_id = 'x'", "error: Invalid experiment ID 'x'. Experiment ID must be a valid integer."),
    ("experiment_id LIKE '1'", "error: Invalid comparator for experiment_id: LIKE"),
    ("experiment_id = 1", "error: Expected a quoted string value for attributes. Got value 1"),
    ("creation_time = '5'", "error: Expected numeric value type for numeric attribute: creation_time. Found '5'"),
    ("creation_time > 5.5", "error: Invalid value for numeric attribute 'creation_time': '5.5'"),
    ("creation_time LIKE 5", "error: Invalid comparator 'LIKE' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}"),
    ("tags.a > 'x'", "error: Invalid comparator for tag: >"),
    ("tags.a IN ('x')", "error: Expected a quoted string value for tag (e.g. 'my-value'). Got value ('x')"),
    ("attributes.name = 'x'", "error: Invalid entity type 'attributes'. Valid entity types are ('attribute', 'tag', 'tags')"),
    ("metrics.a > 1", "error: Invalid entity type 'metrics'. Valid entity types are ('attribute', 'tag', 'tags')"),
    ("foo = 'x'", "error: Invalid attribute key 'foo' specified. Valid keys are '{'name', 'experiment_id', 'creation_time', 'last_update_time'}'"),
    ("name = 'x' OR name = 'y'", "error: Invalid clause(s) in filter string: OR"),
    ("name = \"x\" \"y\"", "error: Invalid clause(s) in filter string: name = \"x\" \"y\""),
];

#[rustfmt::skip]
const REGISTERED_MODELS: &[(&str, &str)] = &[
    ("name = 'x'", "attribute name = \"x\""),
    ("attribute.name like 'x%' AND tags.`a.b` ilike 'y'", "attribute name LIKE \"x%\" & tag a.b ILIKE \"y\""),
    ("name IN ('x', 'y') AND name NOT IN ('z')", "attribute name IN [\"x\", \"y\"] & attribute name NOT IN [\"z\"]"),
    ("tags.`mlflow.prompt.is_prompt` = 'true'", "tag mlflow.prompt.is_prompt = \"true\""),
    ("`name` = 'x'", "error: Invalid attribute key '`name`' specified. Valid keys are '{'name'}'"),
    ("name = 1", "error: Expected a quoted string value or a list of quoted string values for attributes. Got value 1"),
    ("name > 'x'", "error: Invalid comparator for attribute: >"),
    // Ours.
    ("name IS NULL", "error: IS NULL is not supported for 'name'"),
    // Ours.
    ("name = ('x')", "error: A list of values can be compared with IN and NOT IN only."),
    ("tags.a > 'x'", "error: Invalid comparator for tag: >"),
    ("tags.a = 1", "error: Expected a quoted string value for tag (e.g. 'my-value'). Got value 1"),
    ("tags.a IN ('x')", "error: Expected a quoted string value for tag (e.g. 'my-value'). Got value ('x')"),
    ("run_id = 'x'", "error: Invalid attribute key 'run_id' specified. Valid keys are '{'name'}'"),
    ("attributes.name = 'x'", "error: Invalid entity type 'attributes'. Valid entity types are ('attribute', 'tag', 'tags')"),
    ("name = 'x' OR name = 'y'", "error: Invalid clause(s) in filter string: OR"),
];

#[rustfmt::skip]
const MODEL_VERSIONS: &[(&str, &str)] = &[
    ("name = 'x' AND version_number > 2", "attribute name = \"x\" & attribute version_number > 2"),
    ("attribute.version_number = ' 3 '", "attribute version_number = 3"),
    ("run_id IN ('a', 'b') AND source_path LIKE 's3://%'", "attribute run_id IN [\"a\", \"b\"] & attribute source_path LIKE \"s3://%\""),
    ("name not in ('a')", "attribute name NOT IN [\"a\"]"),
    ("tags.`a b` != 'x'", "tag a b != \"x\""),
    ("version_number = 'x'", "error: Invalid value for numeric attribute 'version_number': 'x'"),
    ("version_number = 1.0", "error: Invalid value for numeric attribute 'version_number': 1.0"),
    ("version_number LIKE '1'", "error: Invalid comparator for attribute version_number: LIKE"),
    ("version_number IN ('1')", "error: Only ['name', 'run_id'] attributes support comparison with a list of quoted string values."),
    ("name = 1", "error: Only the '{'version_number', 'creation_timestamp', 'last_updated_timestamp'}' attributes support comparison with numeric values."),
    ("run_id > 'a'", "error: Invalid comparator for attribute: >"),
    ("source_path IN ('a')", "error: Only ['name', 'run_id'] attributes support comparison with a list of quoted string values."),
    ("creation_timestamp > 1", "error: Invalid attribute key 'creation_timestamp' specified. Valid keys are '{'name', 'version_number', 'run_id', 'source_path'}'"),
    ("tags.a < 'x'", "error: Invalid comparator for tag: <"),
    // Ours.
    ("tags.a IS NULL", "error: IS NULL is not supported for 'tags.a'"),
    ("run_id = NULL", "error: Expected a quoted string value or a list of quoted string values for attributes. Got value NULL"),
];

#[rustfmt::skip]
const LOGGED_MODELS: &[(&str, &str)] = &[
    ("name = 'm' AND metrics.loss < 0.1", "attribute name = \"m\" & metric loss < 0.1"),
    ("attributes.model_type LIKE 'x%' and params.`x.y` = 5", "attribute model_type LIKE \"x%\" & parameter x.y = \"5\""),
    ("creation_time > 1700000000000", "attribute creation_timestamp_ms > 1700000000000"),
    ("last_updated_timestamp <= 1e3", "attribute last_updated_timestamp_ms <= 1000.0"),
    // Ours.
    ("attributes.creation_timestamp >= 1", "attribute creation_timestamp_ms >= 1"),
    ("metrics.a > nan", "metric a > NaN"),
    ("metrics.`a b` > 1_000", "metric a b > 1000.0"),
    ("params.lr = bare", "parameter lr = \"bare\""),
    ("tags.a = \"x\"", "tag a = \"\\\"x\\\"\""),
    ("model_id IN ('a', 'b') AND name not in ('c')", "attribute model_id IN [\"a\", \"b\"] & attribute name NOT IN [\"c\"]"),
    ("model_id IN ()", "attribute model_id IN []"),
    ("model_id IN (1, 2)", "attribute model_id IN [\"1\", \"2\"]"),
    ("name > 'x'", "error: Invalid comparison operator for attributes.name: '>'. Expected one of ('=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN')."),
    ("metrics.a LIKE 1", "error: Invalid comparison operator for metrics.a: 'LIKE'. Expected one of ('<', '<=', '>', '>=', '=', '!=')."),
    // Ours.
    ("metrics.a = 'x'", "error: could not convert string to float: \"'x'\""),
    ("metric.a > 1", "error: Invalid entity type: 'metric'. Expected one of ['attributes', 'metrics', 'params', 'tags']."),
    // Ours.
    ("foo = 'x'", "error: Invalid attribute: 'foo'"),
    ("tags.a IS NULL", "error: Invalid comparison: tags.aIS NULL. Expected a comparison with 3 tokens."),
    // Ours.
    ("name = ('x')", "error: A list of values can be compared with IN and NOT IN only."),
    ("name = 'x' OR name = 'y'", "error: Invalid filter string: \"name = 'x' OR name = 'y'\". Expected a list of comparisons separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01')."),
    ("name = 'x'; name = 'y'", "error: Invalid filter string: \"name = 'x'; name = 'y'\". Expected a single SQL expression."),
    ("true = 'x'", "error: Invalid filter string: \"true = 'x'\". Expected a list of comparisons separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01')."),
];

#[rustfmt::skip]
const RUNS_ORDER: &[(&str, &str)] = &[
    ("metrics.loss", "metric loss up"),
    ("metrics.`a b` DESC|start_time ASC|run_id", "metric a b down, attribute start_time up, attribute run_id up"),
    ("metrics.\"a b\" asc", "metric a b up"),
    ("attribute.created desc", "attribute start_time down"),
    ("tags.a|params.a|metrics.a", "tag a up, parameter a up, metric a up"),
    ("start_time|created", "error: `order_by` contains duplicate fields: ['start_time', 'created']"),
    ("metrics.a foo", "error: Invalid ordering key in order_by clause 'metrics.a foo'."),
    ("metrics.a ASC DESC", "error: Invalid order_by clause 'metrics.a ASC DESC'. Could not be parsed."),
    ("metrics.a NULLS FIRST", "error: Invalid order_by clause 'metrics.a NULLS FIRST'. Could not be parsed."),
    ("dataset.name", "error: Invalid identifier type 'dataset'"),
    ("foo", "error: Invalid attribute key 'foo' specified. Valid keys are '{'artifact_uri', 'end_time', 'run_id', 'run_name', 'start_time', 'status', 'user_id', 'created', 'Created'}'"),
    ("run name", "error: Invalid ordering key in order_by clause 'run name'."),
    (" run_id", "error: Invalid order_by clause ' run_id'. Could not be parsed."),
    ("metrics.a;", "error: Invalid order_by clause 'metrics.a;'. Could not be parsed."),
    ("metrics.'it", "error: Invalid order_by clause 'metrics.'it'. Could not be parsed."),
];

#[rustfmt::skip]
const EXPERIMENTS_ORDER: &[(&str, &str)] = &[
    ("name|experiment_id DESC", "attribute name up, attribute experiment_id down"),
    ("name|name desc", "attribute name up, attribute name down"),
    ("attribute.last_update_time", "attribute last_update_time up"),
    ("tags.a", "error: Invalid order_by entity: tag"),
    ("foo DESC", "error: Invalid attribute key 'foo' specified. Valid keys are '{'name', 'experiment_id', 'creation_time', 'last_update_time'}'"),
];

#[rustfmt::skip]
const REGISTERED_MODELS_ORDER: &[(&str, &str)] = &[
    ("name|timestamp DESC", "attribute name up, attribute last_updated_timestamp down"),
    ("last_updated_timestamp asc", "attribute last_updated_timestamp up"),
    ("`name` desc", "attribute name down"),
    ("timestamp|last_updated_timestamp", "error: `order_by` contains duplicate fields: ['timestamp', 'last_updated_timestamp']"),
    ("`name`", "error: Invalid order by key '`name`' specified. Valid keys are '{'name', 'timestamp'}'"),
    ("creation_timestamp", "error: Invalid order by key 'creation_timestamp' specified. Valid keys are '{'name', 'timestamp'}'"),
];

#[rustfmt::skip]
const MODEL_VERSIONS_ORDER: &[(&str, &str)] = &[
    ("name ASC|version_number DESC", "attribute name up, attribute version_number down"),
    ("creation_timestamp|last_updated_timestamp desc", "attribute creation_timestamp up, attribute last_updated_timestamp down"),
    ("tag.name", "attribute name up"),
    ("tag.x", "error: Invalid order by key 'x' specified. Valid keys are {'name', 'version_number', 'creation_timestamp', 'last_updated_timestamp'}"),
    ("run_id", "error: Invalid attribute key 'run_id' specified. Valid keys are '{'name', 'version_number', 'creation_timestamp', 'last_updated_timestamp'}'"),
    ("name|name", "error: `order_by` contains duplicate fields: ['name', 'name']"),
];

#[rustfmt::skip]
const LOGGED_MODELS_ORDER: &[(&str, &str)] = &[
    ("creation_time", "attribute creation_timestamp_ms up"),
    ("model_id", "attribute model_id up"),
    ("metrics.loss", "metric loss up"),
    ("metrics.`a b`", "metric `a b` up"),
    ("params.x", "error: Invalid order by field name: params.x. Only metrics are supported."),
    ("foo", "error: Invalid order by field name: foo"),
];

#[test]
fn runs() {
    check(RUNS, |text| conditions(parse_runs_filter(text)));
}

#[test]
fn experiments() {
    check(EXPERIMENTS, |text| {
        conditions(parse_experiments_filter(text))
    });
}

#[test]
fn registered_models() {
    check(REGISTERED_MODELS, |text| {
        conditions(parse_registered_models_filter(text))
    });
}

#[test]
fn model_versions() {
    check(MODEL_VERSIONS, |text| {
        conditions(parse_model_versions_filter(text))
    });
}

#[test]
fn logged_models() {
    check(LOGGED_MODELS, |text| {
        conditions(parse_logged_models_filter(text))
    });
}

#[test]
fn order_of_runs() {
    check(RUNS_ORDER, |text| {
        orders(parse_runs_order_by(&clauses(text)))
    });
}

#[test]
fn order_of_experiments() {
    check(EXPERIMENTS_ORDER, |text| {
        orders(parse_experiments_order_by(&clauses(text)))
    });
}

#[test]
fn order_of_registered_models() {
    check(REGISTERED_MODELS_ORDER, |text| {
        orders(parse_registered_models_order_by(&clauses(text)))
    });
}

#[test]
fn order_of_model_versions() {
    check(MODEL_VERSIONS_ORDER, |text| {
        orders(parse_model_versions_order_by(&clauses(text)))
    });
}

#[test]
fn order_of_logged_models() {
    check(LOGGED_MODELS_ORDER, |text| {
        orders(parse_logged_models_order_by(&[LoggedModelOrder {
            field_name: text.to_owned(),
            ..LoggedModelOrder::default()
        }]))
    });
    let order = LoggedModelOrder {
        field_name: "metrics.loss".to_owned(),
        ascending: Some(false),
        dataset_name: Some("test".to_owned()),
        dataset_digest: Some(String::new()),
    };
    let expected = Order {
        field: Field::Metric("loss".to_owned()),
        ascending: false,
        dataset: Some(dataset("test")),
    };
    assert_eq!(parse_logged_models_order_by(&[order]), Ok(vec![expected]));
}

fn dataset(name: &str) -> MetricDataset {
    MetricDataset {
        name: Some(name.to_owned()),
        digest: None,
    }
}

#[test]
fn datasets_restrict_metrics_or_ask_for_some() {
    let read = |filter: &str, datasets: &[MetricDataset]| {
        within_datasets(parse_logged_models_filter(filter)?, datasets)
    };
    let datasets = [dataset("test")];
    let found = read("metrics.a > 1 AND name = 'm'", &datasets).expect("a filter");
    assert_eq!(found[0].datasets, datasets);
    assert!(found[1].datasets.is_empty());
    let found = read("name = 'm'", &datasets).expect("a filter");
    assert_eq!(
        conditions(Ok(found.clone())),
        "attribute name = \"m\" & any metric IS NOT NULL"
    );
    assert_eq!(found[1].datasets, datasets);
    assert_eq!(conditions(read("", &[])), "everything");
    assert_eq!(
        conditions(read("", &[dataset("")])),
        "error: `dataset_name` in the `datasets` clause must be specified."
    );
}
