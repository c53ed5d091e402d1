//! Who may do what: Basic, or tokens from the registry's own `/token`.

use super::http::{Request, Response, parameters};
use super::{Auth, IDENTITY_TOKEN, Options};

/// `Basic` and base64 of `me:secret`, see [`super::USER`] and [`super::PASSWORD`].
const BASIC: &str = "Basic bWU6c2VjcmV0";

/// The tokens that were given out.
#[derive(Debug, Default)]
pub(super) struct Tokens(Vec<Token>);

#[derive(Debug)]
struct Token {
    scopes: Vec<String>,
    uses: Option<usize>,
}

/// What a request needs: `(repository, action)`.
fn needs(request: &Request) -> Vec<(String, &'static str)> {
    let path = request.route();
    let end = ["/manifests/", "/blobs/", "/referrers/"].iter().find_map(|kind| path.find(kind));
    let repository = path[..end.unwrap_or(path.len())].to_owned();
    let reads = ["GET", "HEAD"].contains(&request.method.as_str());
    let from = request.parameter("from").map(|from| (from, "pull"));
    [(repository, if reads { "pull" } else { "push" })].into_iter().chain(from).collect()
}

/// The refusal of a request, if it is refused.
pub(super) fn refusal(
    options: &Options,
    tokens: &mut Tokens,
    host: &str,
    request: &Request,
) -> Option<Response> {
    let sent = request.header("authorization").unwrap_or_default();
    let (granted, challenge) = match &options.auth {
        Auth::Open => (true, String::new()),
        Auth::Basic => (sent == BASIC, "Basic realm=\"the, test\"".to_owned()),
        Auth::Bearer { .. } => {
            let (repository, action) = needs(request).swap_remove(0);
            let scope = format!("repository:{repository}:{action}");
            let realm = format!("http://{host}{}", options.tokens.path);
            let what = format!(",service=\"test\",scope=\"{scope}\"");
            let what = if options.tokens.bare { "" } else { &what };
            let challenge = format!("Bearer realm=\"{realm}\"{what}");
            (tokens.allow(sent, &needs(request)), challenge)
        }
    };
    let unauthorized = || Response::error(401, "UNAUTHORIZED").with("WWW-Authenticate", challenge);
    (!granted).then(unauthorized)
}

impl Tokens {
    fn allow(&mut self, sent: &str, needs: &[(String, &'static str)]) -> bool {
        let number = sent.strip_prefix("Bearer token-").and_then(|number| number.parse().ok());
        let Some(token) = number.and_then(|number: usize| self.0.get_mut(number)) else {
            return false;
        };
        let granted = |(repository, action): &(String, &str)| {
            token.scopes.iter().any(|scope| {
                let mut parts = scope.splitn(3, ':').skip(1);
                parts.next() == Some(repository)
                    && parts.next().is_some_and(|actions| actions.split(',').any(|a| a == *action))
            })
        };
        let used_up = token.uses == Some(0);
        let allowed = needs.iter().all(granted) && !used_up;
        token.uses = token.uses.map(|uses| uses.saturating_sub(1));
        allowed
    }

    /// Answers at the token service: Basic by GET, an identity token by POST.
    pub(super) fn issue(&mut self, options: &Options, request: &Request) -> Response {
        let Auth::Bearer { anonymous_pull, uses } = &options.auth else {
            return Response::error(404, "NO_TOKENS");
        };
        let form = String::from_utf8_lossy(&request.body);
        let identity = parameters(&form, "refresh_token");
        let known = request.header("authorization") == Some(BASIC)
            || identity.iter().any(|token| token == IDENTITY_TOKEN);
        // Somebody unknown is refused; nobody is given what anybody may have.
        let somebody = request.header("authorization").is_some() || !identity.is_empty();
        if !known && (somebody || !anonymous_pull) {
            return Response::error(401, "UNAUTHORIZED");
        }
        let service = &options.tokens;
        let pull_only = !known || service.pull_only;
        let asked = request.parameters("scope").into_iter().chain(parameters(&form, "scope"));
        let each =
            asked.flat_map(|scopes| scopes.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let scopes =
            each.map(|scope| if pull_only { scope.replace(",push", "") } else { scope }).collect();
        self.0.push(Token { scopes, uses: *uses });
        let token = format!("token-{}", self.0.len() - 1);
        let usual = if request.method == "POST" { "access_token" } else { "token" };
        let mut answer = serde_json::json!({ service.field.unwrap_or(usual): token });
        if let Some(seconds) = service.expires_in {
            answer["expires_in"] = seconds.into();
        }
        Response::new(200).body(answer.to_string())
    }
}
