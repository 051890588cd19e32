//! What requests contain. A wrong request is answered with problem details.

use crate::problem::Problem;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

/// The most entries of one answer.
pub const MAX_LIMIT: usize = 500;
/// The largest picture of a request, bytes: what a frame may have.
pub const MAX_PICTURE_BYTES: usize = everyframe_kafka::MAX_FRAME_BYTES;

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let parsed = Json::<T>::from_request(request, state).await;
        parsed.map(|Json(body)| Self(body)).map_err(|error| Problem::new(error.status(), error.body_text()))
    }
}

/// The body of a request with a picture.
pub struct Picture(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Picture {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the picture has more than {MAX_PICTURE_BYTES} bytes; send a smaller one"),
            ),
            status => Problem::new(status, error.body_text()),
        })?;
        if body.is_empty() {
            return Err(Problem::bad_request("the body is empty; send a JPEG, PNG or WebP picture"));
        }
        Ok(Self(body))
    }
}

/// The parameters of the query.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parsed = Query::<T>::from_request_parts(parts, state).await;
        parsed.map(|Query(query)| Self(query)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// The variable parts of the path.
pub struct PathParts<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParts<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parsed = Path::<T>::from_request_parts(parts, state).await;
        parsed.map(|Path(path)| Self(path)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The most entries, 1 to 500; 50 if not given.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub before: Option<String>,
}

impl Page {
    /// The most entries.
    ///
    /// # Errors
    ///
    /// The limit is out of range.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            limit => Err(Problem::bad_request(format!("`limit` must be from 1 to {MAX_LIMIT}, is {limit}"))),
        }
    }

    /// The entry that the page comes after: its time and the rest of its key.
    ///
    /// # Errors
    ///
    /// The text is not from a `next`.
    pub fn before(&self) -> Result<Option<(i64, String)>, Problem> {
        let Some(text) = &self.before else { return Ok(None) };
        let parsed = text.split_once('~').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
        parsed.map(Some).ok_or_else(|| Problem::bad_request("`before` must be the `next` of another page"))
    }
}

/// The `next` of a page that ends with this entry.
pub fn cursor(at: i64, rest: impl std::fmt::Display) -> String {
    format!("{at}~{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let page = |before: &str| Page { limit: None, before: Some(before.into()) };
        assert_eq!(page(&cursor(-5, "a~b/c")).before().ok().flatten(), Some((-5, "a~b/c".into())));
        for wrong in ["", "5", "x~a", "~"] {
            assert!(page(wrong).before().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_within_its_range() {
        let limit = |limit| Page { limit, before: None }.limit().ok();
        assert_eq!(
            [limit(None), limit(Some(0)), limit(Some(500)), limit(Some(501))],
            [Some(50), None, Some(500), None]
        );
    }
}
