//! Readers of options objects. They throw a `TypeError` that names the first missing or wrong option.

use js_sys::{Function, Promise, TypeError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::error::set_sign_in_cause;
use crate::browser::object::property;
use crate::{Authorization, RenewalFailed, Target};

/// Reads the server or endpoint, and how requests are authorized.
pub(super) fn target(options: &Fields<'_>) -> Result<(Target, Authorization), JsValue> {
    let session = options.text("session")?;
    let target = match (options.text("server")?, options.text("endpoint")?) {
        (Some(mut base), None) => {
            while base.ends_with('/') {
                base.pop();
            }
            Target::Server { base, session }
        }
        (None, Some(endpoint)) if session.is_none() => Target::Tus { endpoint },
        (None, Some(_)) => {
            return Err(wrong(
                "session needs server: another tus server has no sessions",
            ));
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err(wrong("exactly one of server and endpoint must be given"));
        }
    };
    let authorization = match options.function("getToken")? {
        Some(function) => Authorization::bearer(move || token(function.clone())),
        None => Authorization::default(),
    };
    Ok((target, authorization))
}

/// Asks the page for a token. A rejection makes `start` fail; a running recording asks again.
async fn token(get_token: Function) -> Result<String, RenewalFailed> {
    let answer = match get_token.call0(&JsValue::UNDEFINED) {
        Ok(answer) => JsFuture::from(Promise::resolve(&answer)).await,
        Err(exception) => Err(exception),
    };
    let (token, cause) = match answer {
        Ok(token) => {
            let token = token.as_string().filter(|it| !it.is_empty());
            let cause = token.is_none().then(|| wrong("getToken returned no token"));
            (token, cause.unwrap_or_default())
        }
        Err(exception) => (None, exception),
    };
    set_sign_in_cause(cause);
    token.ok_or(RenewalFailed::Refused)
}

/// An options object. `undefined` and `null` have no fields.
pub(super) struct Fields<'a>(pub(super) &'a JsValue);

impl Fields<'_> {
    pub(super) fn get<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(JsValue) -> Option<T>,
    ) -> Result<Option<T>, JsValue> {
        match self.value(name)? {
            Some(value) => read(value).map(Some).ok_or_else(|| must_be(name, expected)),
            None => Ok(None),
        }
    }

    fn value(&self, name: &str) -> Result<Option<JsValue>, JsValue> {
        let is_given = |it: &JsValue| !it.is_undefined() && !it.is_null();
        if !is_given(self.0) {
            return Ok(None);
        }
        let value = property(self.0, name).ok_or_else(|| wrong("options must be an object"))?;
        Ok(Some(value).filter(is_given))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, JsValue> {
        self.get(name, "a string", |it| it.as_string())
    }

    pub(super) fn function(&self, name: &str) -> Result<Option<Function>, JsValue> {
        self.get(name, "a function", |it| it.dyn_into().ok())
    }

    #[cfg(any(feature = "js-recorder", feature = "js-recovery"))]
    pub(super) fn signal(&self) -> Result<Option<web_sys::AbortSignal>, JsValue> {
        self.get("signal", "an AbortSignal", |it| it.dyn_into().ok())
    }
}

pub(super) fn must_be(name: &str, expected: &str) -> JsValue {
    wrong(&format!("{name} must be {expected}"))
}

pub(super) fn wrong(message: &str) -> JsValue {
    TypeError::new(message).into()
}
