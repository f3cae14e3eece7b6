//! Script of the worker, in the form that the page's policies allow.

use js_sys::{Reflect, Symbol};
use wasm_bindgen::prelude::*;
use web_sys::Url;

use super::object::{array, blob, object, property};

/// The script; `client/npm` serves the same file for pages that allow no `blob:` workers.
const SCRIPT: &str = include_str!(concat!(env!("OUT_DIR"), "/worker.js"));
/// Name of the policy for pages with Trusted Types. A page may allow each name only once, and has several modules: they
/// share the URL of the script.
const POLICY: &str = "sortie-recorder";
/// Name of the script in this module.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = web_sys::Worker, js_name = Worker)]
    type ScriptWorker;
    /// Unlike that of `web_sys`, it accepts a `TrustedScriptURL`.
    #[wasm_bindgen(constructor, catch, js_class = "Worker")]
    fn new(url: &JsValue) -> Result<ScriptWorker, JsValue>;

    type TrustedTypes;
    #[wasm_bindgen(method, catch, js_name = createPolicy)]
    fn create_policy(this: &TrustedTypes, name: &str, rules: &JsValue) -> Result<JsValue, JsValue>;
    type Policy;
    #[wasm_bindgen(method, catch, js_name = createScriptURL)]
    fn create_script_url(this: &Policy, url: &str) -> Result<JsValue, JsValue>;
}

/// Starts a worker with the script at `url`, or with the script that this module contains.
pub(super) fn start(url: Option<&str>) -> Result<web_sys::Worker, JsValue> {
    ScriptWorker::new(&script_url(url)?).map(Into::into)
}

/// Returns the URL of the script as the page's Trusted Types require it. The page keeps the URLs, not the policy, which
/// would allow any script. If they do not allow our policy, a default policy of the page may still allow the URL.
fn script_url(url: Option<&str>) -> Result<JsValue, JsValue> {
    let page = js_sys::global();
    let key = Symbol::for_(&format!("{POLICY} {}", url.unwrap_or(VERSION)));
    let known = Reflect::get(&page, &key)?;
    if known.is_truthy() {
        return Ok(known);
    }
    let url = match url {
        Some(url) => url.to_owned(),
        // The URL lives as long as the page.
        None => blob(&array(&[SCRIPT.into()]), "text/javascript")
            .map(|it| Url::create_object_url_with_blob(&it))
            .transpose()?
            .unwrap_or_default(),
    };
    let trusted = policy().and_then(|policy| policy.create_script_url(&url).ok());
    let trusted = trusted.unwrap_or_else(|| url.into());
    Reflect::set(&page, &key, &trusted)?;
    Ok(trusted)
}

fn policy() -> Option<Policy> {
    let types = property(&js_sys::global(), "trustedTypes").filter(JsValue::is_object)?;
    let same: Closure<dyn FnMut(JsValue) -> JsValue> = Closure::new(|url| url);
    let rules = object(&[("createScriptURL", same.into_js_value())]);
    let policy = types.unchecked_into::<TrustedTypes>();
    Some(policy.create_policy(POLICY, &rules).ok()?.unchecked_into())
}
