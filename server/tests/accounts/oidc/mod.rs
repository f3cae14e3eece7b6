//! Signing in at an OpenID provider: admission, roles, confirmation, and a provider that misbehaves.

mod admission;
mod id_token;
mod logout;
mod provider_calls;
mod refresh;
mod roles;
mod steps;
