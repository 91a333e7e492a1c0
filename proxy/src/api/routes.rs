//! Routes that remember what they are: the OpenAPI document is compared with this list. Handles nothing.

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{MethodFilter, on},
};

use super::Api;

/// Routes with their list.
#[derive(Debug)]
pub(super) struct Routes {
    router: Router<Arc<Api>>,
    list: Vec<(Method, &'static str)>,
}

impl Routes {
    /// None.
    pub(super) fn new() -> Self {
        Self { router: Router::new(), list: Vec::new() }
    }

    /// `GET path`.
    pub(super) fn get<T: 'static>(self, path: &'static str, handler: impl Handler<T, Arc<Api>>) -> Self {
        self.add(Method::GET, MethodFilter::GET, path, handler)
    }

    /// `POST path`.
    pub(super) fn post<T: 'static>(self, path: &'static str, handler: impl Handler<T, Arc<Api>>) -> Self {
        self.add(Method::POST, MethodFilter::POST, path, handler)
    }

    /// `PUT path`.
    pub(super) fn put<T: 'static>(self, path: &'static str, handler: impl Handler<T, Arc<Api>>) -> Self {
        self.add(Method::PUT, MethodFilter::PUT, path, handler)
    }

    /// `DELETE path`.
    pub(super) fn delete<T: 'static>(self, path: &'static str, handler: impl Handler<T, Arc<Api>>) -> Self {
        self.add(Method::DELETE, MethodFilter::DELETE, path, handler)
    }

    fn add<T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        handler: impl Handler<T, Arc<Api>>,
    ) -> Self {
        self.list.push((method, path));
        Self { router: self.router.route(path, on(filter, handler)), list: self.list }
    }

    /// These and those.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.list.extend(other.list);
        Self { router: self.router.merge(other.router), list: self.list }
    }

    /// Methods and paths, in the order in which they were added.
    #[cfg(test)]
    pub(super) fn list(&self) -> &[(Method, &'static str)] {
        &self.list
    }

    /// For axum.
    pub(super) fn into_router(self) -> Router<Arc<Api>> {
        self.router
    }
}
