//! One conversation with the CA: from an account to a certificate (RFC 8555, section 7).

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, Problem,
    RetryPolicy,
};
use thiserror::Error;

use super::pair::{self, Pair, PairError, ProofError};
use crate::{limits, tls::certificate::Certificate};

/// Why there is no certificate.
#[derive(Debug, Error)]
pub(super) enum OrderError {
    #[error("{}", said(.0))]
    Ca(#[from] instant_acme::Error),
    #[error("the CA offers no tls-alpn-01 challenge for {0}, and the node supports no other")]
    NoChallenge(String),
    #[error("the CA does not allow a certificate for {0}: its authorization is {1:?}")]
    NotAllowed(String, AuthorizationStatus),
    #[error("can't answer the CA's challenge: {0}")]
    Proof(#[from] ProofError),
    #[error("can't make a request for a certificate: {0}")]
    Request(#[source] rcgen::Error),
    #[error("the certificate that the CA gave can't be used: {0}")]
    Unusable(#[from] PairError),
    #[error(
        "the CA could not see that {domain} leads here: {reason}; it connects to port 443 of every \
         address that the DNS has for that name"
    )]
    Unproven { domain: String, reason: String },
}

/// What went wrong between the node and the CA, in words.
pub(super) fn said(error: &instant_acme::Error) -> String {
    match error {
        instant_acme::Error::Api(problem) => format!("the CA says: {}", words(problem)),
        other => other.to_string(),
    }
}

fn words(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("no");
    let kind = problem.r#type.as_deref().unwrap_or("it gives no reason");
    let parts = problem.subproblems.iter().map(|part| format!("; {part}"));
    format!("{detail} ({kind}){}", parts.collect::<String>())
}

/// Answers challenges until it is dropped.
struct Proving<'a>(&'a Certificate);

impl Drop for Proving<'_> {
    fn drop(&mut self) {
        self.0.set_challenge(None);
    }
}

/// Gets a certificate for a name. `certificate` answers the CA's challenge meanwhile.
///
/// # Errors
///
/// If the CA refuses, or can't be asked.
pub(super) async fn obtain(
    account: &Account,
    domain: &str,
    certificate: &Certificate,
) -> Result<Pair, OrderError> {
    let polling = RetryPolicy::new().timeout(limits::ACME_POLL_TIMEOUT);
    let identifiers = [Identifier::Dns(domain.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    if order.state().status == OrderStatus::Pending {
        let _proving = Proving(certificate);
        let result = prove(&mut order, domain, certificate, &polling).await;
        if let Some(reason) = refusal(&mut order, &result).await {
            let domain = domain.to_owned();
            return Err(OrderError::Unproven { domain, reason });
        }
        result?;
    }
    let (request, key) = pair::request(domain).map_err(OrderError::Request)?;
    order.finalize_csr(&request).await?;
    let certificate = order.poll_certificate(&polling).await?;
    Ok(Pair { certificate, key })
}

/// Proves to the CA that the name leads here, where it doesn't know that from before, and waits until
/// it has seen it, or not.
async fn prove(
    order: &mut Order,
    domain: &str,
    certificate: &Certificate,
    polling: &RetryPolicy,
) -> Result<OrderStatus, OrderError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(OrderError::NotAllowed(domain.to_owned(), other)),
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or_else(|| OrderError::NoChallenge(domain.to_owned()))?;
        let digest = challenge.key_authorization().digest();
        let digest = digest
            .as_ref()
            .try_into()
            .map_err(|_| instant_acme::Error::Crypto)?;
        let proof = pair::proof(domain, digest)?;
        certificate.set_challenge(Some((domain.to_owned(), proof)));
        challenge.set_ready().await?;
    }
    Ok(order.poll_ready(polling).await?)
}

/// What the CA saw instead of the proof, if that is how it ended. A CA says so of the order, or of the
/// challenge, or already when it is told to look, depending on how fast it is; why stands with the
/// authorization.
async fn refusal(order: &mut Order, result: &Result<OrderStatus, OrderError>) -> Option<String> {
    let mut reason = match result {
        Ok(OrderStatus::Invalid) => Some("it gives no reason".to_owned()),
        Err(OrderError::Ca(instant_acme::Error::Api(_))) => None,
        _ => return None,
    };
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        match authorization.refresh().await {
            Ok(state) if state.status == AuthorizationStatus::Invalid => {
                let problems = state.challenges.iter().filter_map(|it| it.error.as_ref());
                let said = result.as_ref().err().map(ToString::to_string);
                reason = problems.map(words).next().or(said).or(reason);
            }
            _ => {}
        }
    }
    reason
}
