//! How engines write what all of them can say.

use super::expr::{Expr, Part, Sum, Type};
use gillnet_entry::time::Rfc3339;
use std::fmt::Write as _;

/// An engine's SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// ClickHouse.
    ClickHouse,
    /// DuckDB.
    DuckDb,
    /// Spark SQL.
    Spark,
    /// Trino.
    Trino,
    /// BigQuery.
    BigQuery,
}

use Dialect::{BigQuery, ClickHouse, DuckDb, Spark, Trino};

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 5] = [ClickHouse, DuckDb, Spark, Trino, BigQuery];

    /// As it is written on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ClickHouse => "clickhouse",
            DuckDb => "duckdb",
            Spark => "spark",
            Trino => "trino",
            BigQuery => "bigquery",
        }
    }

    /// The name of a column or table. BigQuery's columns have no dots.
    #[must_use]
    pub fn identifier(self, name: &str) -> String {
        match self {
            DuckDb | Trino => format!("\"{}\"", name.replace('"', "\"\"")),
            Spark => format!("`{}`", name.replace('`', "``")),
            ClickHouse => format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`")),
            BigQuery => {
                let name = name.replace('.', "_");
                format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
            }
        }
    }

    /// A text, whatever is in it.
    #[must_use]
    pub fn text(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 2);
        out.push('\'');
        for c in text.chars() {
            match (self, c) {
                (DuckDb | Trino, '\'') => out.push_str("''"),
                (DuckDb | Trino, c) => out.push(c),
                (_, '\\' | '\'') => {
                    out.push('\\');
                    out.push(c);
                }
                // Spark puts variables in the place of `${…}`, in texts too
                (Spark, '$') => out.push_str("\\u0024"),
                (Spark | BigQuery, c) if c.is_control() => {
                    // writing to text cannot fail
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                (_, c) => out.push(c),
            }
        }
        out.push('\'');
        out
    }

    /// The name of a type.
    #[must_use]
    pub const fn type_name(self, of: Type) -> &'static str {
        match (self, of) {
            (ClickHouse, Type::Int) => "Int64",
            (ClickHouse, Type::Real) => "Float64",
            (ClickHouse, Type::Bool) => "Bool",
            (ClickHouse, Type::Text) => "String",
            (ClickHouse, Type::Time) => "DateTime64(9, 'UTC')",
            // nanoseconds since the epoch
            (Spark, Type::Time) => "BIGINT",
            (BigQuery, Type::Int | Type::Time) => "INT64",
            (BigQuery, Type::Real) => "FLOAT64",
            (BigQuery, Type::Bool) => "BOOL",
            (Spark | BigQuery, Type::Text) => "STRING",
            (_, Type::Int) => "BIGINT",
            (_, Type::Real) => "DOUBLE",
            (_, Type::Bool) => "BOOLEAN",
            (_, Type::Text) => "VARCHAR",
            (DuckDb, Type::Time) => "TIMESTAMPTZ_NS",
            (Trino, Type::Time) => "TIMESTAMP(9)",
        }
    }

    /// Writes an expression.
    #[must_use]
    pub fn write(self, expr: &Expr) -> String {
        let mut out = String::new();
        self.expr(expr, &mut out);
        out
    }

    fn expr(self, expr: &Expr, out: &mut String) {
        let of = |expr: &Expr| self.write(expr);
        let text = match expr {
            Expr::Null => "NULL".into(),
            Expr::Bool(true) => "TRUE".into(),
            Expr::Bool(false) => "FALSE".into(),
            // the least integer has no literal of its own
            Expr::Int(i64::MIN) => format!("({} - 1)", i64::MIN + 1),
            Expr::Int(v) => v.to_string(),
            Expr::Real(v) => match self {
                BigQuery => format!("CAST('{v:e}' AS FLOAT64)"),
                ClickHouse => format!("toFloat64('{v:e}')"),
                _ => format!("CAST('{v:e}' AS DOUBLE)"),
            },
            Expr::Text(v) => self.text(v),
            Expr::Moment(ns) => self.moment(*ns),
            Expr::Column(name, _) => self.identifier(name),
            Expr::Recorder => self.recorder(),
            Expr::And(all) => return self.joined(all, " AND ", out),
            Expr::Or(all) => return self.joined(all, " OR ", out),
            Expr::Not(inner) => format!("NOT {}", self.operand(inner)),
            Expr::IsNull(inner) => format!("{} IS NULL", self.operand(inner)),
            Expr::Compare(how, ab) => {
                let (a, b) = (self.operand(&ab.0), self.operand(&ab.1));
                format!("{a} {} {b}", how.sign())
            }
            Expr::OneOf(inner, texts) => match &**texts {
                [only] => format!("{} = {}", self.operand(inner), self.text(only)),
                texts => {
                    let texts: Vec<_> = texts.iter().map(|text| self.text(text)).collect();
                    format!("{} IN ({})", self.operand(inner), texts.join(", "))
                }
            },
            Expr::First(all) => {
                let all: Vec<_> = all.iter().map(of).collect();
                format!("COALESCE({})", all.join(", "))
            }
            Expr::Case(cases, other) => {
                let mut text = String::from("CASE");
                for (condition, value) in cases {
                    let _ = write!(text, " WHEN {} THEN {}", of(condition), of(value));
                }
                let _ = write!(text, " ELSE {} END", of(other));
                text
            }
            Expr::Has(part, ab) => self.has(*part, &of(&ab.0), &of(&ab.1)),
            Expr::EndsWith(inner, end) => self.ends_with(&of(inner), end),
            Expr::Found(inner, pattern) => self.found(&of(inner), &self.text(pattern)),
            Expr::Calculated(how, ab) => self.calculated(*how, &of(&ab.0), &of(&ab.1)),
            Expr::Quotient(inner, by) => self.quotient(&self.operand(inner), *by),
            Expr::Remainder(inner, by) => self.remainder(&self.operand(inner), *by),
            Expr::Floor(inner, by) => self.floor(&self.operand(inner), *by),
            Expr::ToText(inner) => match self {
                ClickHouse => format!("toString({})", of(inner)),
                Spark | BigQuery => format!("CAST({} AS STRING)", of(inner)),
                DuckDb | Trino => format!("CAST({} AS VARCHAR)", of(inner)),
            },
            Expr::ToReal(inner) => match self {
                ClickHouse => format!("toFloat64({})", of(inner)),
                BigQuery => format!("CAST({} AS FLOAT64)", of(inner)),
                _ => format!("CAST({} AS DOUBLE)", of(inner)),
            },
            Expr::ToNanos(inner) => self.nanos(&of(inner)),
            Expr::Length(inner) => match self {
                ClickHouse => format!("CAST(lengthUTF8({}) AS Nullable(Int64))", of(inner)),
                Spark | BigQuery => format!("CHAR_LENGTH({})", of(inner)),
                DuckDb | Trino => format!("length({})", of(inner)),
            },
        };
        out.push_str(&text);
    }

    /// An expression as an operand of another.
    fn operand(self, expr: &Expr) -> String {
        let text = self.write(expr);
        match expr {
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::IsNull(_) => format!("({text})"),
            Expr::Compare(..) | Expr::OneOf(..) | Expr::Found(..) => format!("({text})"),
            Expr::EndsWith(..) | Expr::Has(..) => format!("({text})"),
            Expr::Int(v) if *v < 0 => format!("({text})"),
            _ => text,
        }
    }

    fn joined(self, all: &[Expr], sign: &str, out: &mut String) {
        for (i, expr) in all.iter().enumerate() {
            if i > 0 {
                out.push_str(sign);
            }
            match expr {
                Expr::And(_) | Expr::Or(_) => {
                    out.push('(');
                    self.expr(expr, out);
                    out.push(')');
                }
                expr => self.expr(expr, out),
            }
        }
    }

    /// A moment as what a column of moments is compared with.
    fn moment(self, ns: i64) -> String {
        match self {
            ClickHouse => format!("fromUnixTimestamp64Nano(toInt64({ns}), 'UTC')"),
            // takes the type of the column, whose precision depends on the version
            DuckDb => format!("'{}'", Rfc3339(ns)),
            Spark | BigQuery => ns.to_string(),
            Trino => {
                let at = Rfc3339(ns).to_string();
                format!("TIMESTAMP '{}'", at.replace('T', " ").trim_end_matches('Z'))
            }
        }
    }

    fn nanos(self, time: &str) -> String {
        match self {
            ClickHouse => format!("toUnixTimestamp64Nano({time})"),
            DuckDb => format!("epoch_ns({time})"),
            Spark | BigQuery => time.into(),
            // seconds, and the digits behind the point
            Trino => format!(
                "(CAST(to_unixtime(date_trunc('second', {time})) AS BIGINT) * 1000000000 \
                 + CAST(substr(CAST({time} AS VARCHAR), 21) AS BIGINT))"
            ),
        }
    }

    /// `<node>_<run>` out of the name of a row's file.
    fn recorder(self) -> String {
        const OF: &str = "([^/]+)_[0-9]+[.]parquet$";
        match self {
            ClickHouse => format!("extract(_path, '{OF}')"),
            DuckDb => format!("regexp_extract(filename, '{OF}', 1)"),
            // a dollar sign may begin a variable
            Spark => {
                let of = OF.replace('$', "\\\\z");
                format!("regexp_extract(input_file_name(), '{of}', 1)")
            }
            Trino => format!("regexp_extract(\"$path\", '{OF}', 1)"),
            BigQuery => format!("REGEXP_EXTRACT(_FILE_NAME, r'{OF}')"),
        }
    }

    fn has(self, part: Part, text: &str, other: &str) -> String {
        match (self, part) {
            (DuckDb | Spark, Part::Anywhere) => format!("contains({text}, {other})"),
            (ClickHouse, Part::Anywhere) => format!("position({text}, {other}) > 0"),
            (Trino | BigQuery, Part::Anywhere) => format!("strpos({text}, {other}) > 0"),
            (ClickHouse, Part::Start) => format!("startsWith({text}, {other})"),
            (Spark, Part::Start) => format!("startswith({text}, {other})"),
            (DuckDb | Trino | BigQuery, Part::Start) => format!("starts_with({text}, {other})"),
        }
    }

    fn ends_with(self, text: &str, end: &str) -> String {
        let other = self.text(end);
        match self {
            ClickHouse => format!("endsWith({text}, {other})"),
            DuckDb | BigQuery => format!("ends_with({text}, {other})"),
            Spark => format!("endswith({text}, {other})"),
            // it has no such function
            Trino => format!("substr({text}, -{}) = {other}", end.chars().count()),
        }
    }

    fn found(self, text: &str, pattern: &str) -> String {
        match self {
            ClickHouse => format!("match({text}, {pattern})"),
            DuckDb => format!("regexp_matches({text}, {pattern})"),
            Spark => format!("{text} RLIKE {pattern}"),
            Trino => format!("regexp_like({text}, {pattern})"),
            BigQuery => format!("REGEXP_CONTAINS({text}, {pattern})"),
        }
    }

    /// In 128 bits, or 38 digits, which hold the result; then null where 64 bits do not.
    fn calculated(self, how: Sum, a: &str, b: &str) -> String {
        let sign = match how {
            Sum::Add => "+",
            Sum::Sub => "-",
            Sum::Mul => "*",
        };
        match self {
            ClickHouse => {
                format!("accurateCastOrNull(toInt256({a}) {sign} toInt256({b}), 'Int64')")
            }
            DuckDb => format!("TRY_CAST(({a})::HUGEINT {sign} ({b})::HUGEINT AS BIGINT)"),
            // a product has as many digits as both factors together
            Spark | Trino if how == Sum::Mul => format!(
                "TRY_CAST(CAST({a} AS DECIMAL(19, 0)) * CAST({b} AS DECIMAL(19, 0)) AS BIGINT)"
            ),
            Spark | Trino => format!(
                "TRY_CAST(CAST({a} AS DECIMAL(20, 0)) {sign} CAST({b} AS DECIMAL(20, 0)) AS BIGINT)"
            ),
            BigQuery => format!(
                "SAFE_CAST(CAST({a} AS BIGNUMERIC) {sign} CAST({b} AS BIGNUMERIC) AS INT64)"
            ),
        }
    }

    fn quotient(self, a: &str, by: i64) -> String {
        match self {
            ClickHouse => format!("intDiv({a}, {by})"),
            DuckDb => format!("({a} // {by})"),
            Spark => format!("({a} div {by})"),
            Trino => format!("({a} / {by})"),
            BigQuery => format!("DIV({a}, {by})"),
        }
    }

    fn remainder(self, a: &str, by: i64) -> String {
        match self {
            BigQuery => format!("MOD({a}, {by})"),
            _ => format!("({a} % {by})"),
        }
    }

    /// What is left has the sign of the number: cut towards the past is one less, where that is below zero.
    fn floor(self, a: &str, by: i64) -> String {
        let (whole, left) = (self.quotient(a, by), self.remainder(a, by));
        format!("({whole} - CASE WHEN {left} < 0 THEN 1 ELSE 0 END)")
    }
}
