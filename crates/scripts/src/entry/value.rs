//! Values of fields as JavaScript's.

use gillnet_entry::time::Rfc3339;
use gillnet_entry::{Value, json};
use rquickjs::{Array, Ctx, Object, Result, String as Text};

/// A value of the script's.
pub(super) fn to_js<'js>(ctx: &Ctx<'js>, value: &Value<'_>) -> Result<rquickjs::Value<'js>> {
    let ctx = ctx.clone();
    Ok(match value {
        Value::Missing => rquickjs::Value::new_undefined(ctx),
        Value::Null => rquickjs::Value::new_null(ctx),
        Value::Bool(v) => rquickjs::Value::new_bool(ctx, *v),
        Value::Int(v) | Value::Duration(v) => int(ctx, *v),
        #[allow(clippy::cast_precision_loss)] // as JSON.parse does
        Value::UInt(v) => match i64::try_from(*v) {
            Ok(v) => int(ctx, v),
            Err(_) => rquickjs::Value::new_float(ctx, *v as f64),
        },
        Value::Double(v) if v.is_finite() => rquickjs::Value::new_number(ctx, *v),
        // as in JSON
        Value::Double(_) => rquickjs::Value::new_null(ctx),
        Value::Str(v) => text(ctx, v)?,
        Value::Bytes(v) => {
            let mut base64 = Vec::new();
            json::base64(v, &mut base64);
            text(ctx, &String::from_utf8_lossy(&base64))?
        }
        Value::Time(v) => text(ctx, &Rfc3339(*v).to_string())?,
        Value::List(items) => {
            let array = Array::new(ctx.clone())?;
            for (at, item) in items.iter().enumerate() {
                array.set(at, to_js(&ctx, item)?)?;
            }
            array.into_value()
        }
        Value::Map(members) => {
            let object = Object::new(ctx.clone())?;
            for (key, value) in *members {
                if !matches!(value, Value::Missing) {
                    object.set(*key, to_js(&ctx, value)?)?;
                }
            }
            object.into_value()
        }
    })
}

fn text<'js>(ctx: Ctx<'js>, text: &str) -> Result<rquickjs::Value<'js>> {
    Ok(Text::from_str(ctx, text)?.into_value())
}

#[allow(clippy::cast_precision_loss)] // as JSON.parse does
fn int(ctx: Ctx<'_>, v: i64) -> rquickjs::Value<'_> {
    match i32::try_from(v) {
        Ok(v) => rquickjs::Value::new_int(ctx, v),
        Err(_) => rquickjs::Value::new_float(ctx, v as f64),
    }
}
