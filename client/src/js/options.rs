//! Readers of options objects, which the package's JavaScript has checked (`npm/options.js`). Wrong values are ignored.

use js_sys::{Function, Promise, TypeError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::error::set_sign_in_cause;
use crate::browser::object::property;
use crate::{Authorization, RenewalFailed, Target};

/// Reads the server or endpoint, and how requests are authorized.
pub(super) fn target(options: &Fields<'_>) -> Result<(Target, Authorization), JsValue> {
    let session = options.text("session");
    let target = match (options.text("server"), options.text("endpoint")) {
        (Some(mut base), None) => {
            while base.ends_with('/') {
                base.pop();
            }
            Target::Server { base, session }
        }
        (None, Some(endpoint)) => Target::Tus { endpoint },
        (None, None) | (Some(_), Some(_)) => {
            return Err(wrong("exactly one of server and endpoint must be given"));
        }
    };
    let authorization = match options.function("getToken") {
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
    pub(super) fn get(&self, name: &str) -> JsValue {
        property(self.0, name).unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).as_string()
    }

    pub(super) fn function(&self, name: &str) -> Option<Function> {
        self.get(name).dyn_into().ok()
    }

    #[cfg(any(feature = "js-recorder", feature = "js-recovery"))]
    pub(super) fn signal(&self) -> Option<web_sys::AbortSignal> {
        self.get("signal").dyn_into().ok()
    }
}

pub(super) fn wrong(message: &str) -> JsValue {
    TypeError::new(message).into()
}
