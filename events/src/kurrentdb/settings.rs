//! From a connection string to settings that avoid the client's faults.

use ::kurrentdb::{ClientSettings, Credentials};
use percent_encoding::percent_decode_str;

use super::ConnectError;

/// How a server is reached, and as whom.
#[derive(Clone)]
pub struct Settings {
    /// What the client is made from.
    pub client: ClientSettings,
    /// Who asks. The client would send a percent-encoded password as it stands, so each call brings the decoded one.
    pub credentials: Option<Credentials>,
}

impl Settings {
    /// Understands `kurrentdb://...`. No error tells the text: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        let mut text = url.to_owned();
        // The client sleeps one such interval before its first connection; half a second is its default.
        if !url.to_ascii_lowercase().contains("discoveryinterval=") {
            text.push_str(if !url.contains('?') {
                "?"
            } else if url.ends_with(['?', '&']) {
                ""
            } else {
                "&"
            });
            text.push_str("discoveryInterval=50");
        }
        let client: ClientSettings = text.parse().map_err(|_| ConnectError::Url("it is not understood"))?;
        if client.max_discover_attempts() < 2 {
            return Err(ConnectError::Url("with maxDiscoverAttempts below 2 the client never connects"));
        }
        if let Some(file) = client.tls_ca_file()
            && let Err(error) = certificates(file)
        {
            return Err(ConnectError::Certificates(file.clone(), error));
        }
        Ok(Self { client, credentials: credentials(url) })
    }
}

/// The client panics at a malformed file.
fn certificates(file: &str) -> Result<(), rustls::pki_types::pem::Error> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::pem_file_iter(file)?.try_for_each(|certificate| certificate.map(|_| ()))
}

fn credentials(url: &str) -> Option<Credentials> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    (!name.is_empty()).then(|| Credentials::new(decode(name), decode(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_mended_where_the_client_would_fail() {
        let of = |url: &str| Settings::parse(url).unwrap();
        assert_eq!(of("kurrentdb://h:1?tls=false").client.discovery_interval().as_millis(), 50);
        assert_eq!(of("esdb+discover://h").client.discovery_interval().as_millis(), 50);
        assert_eq!(of("esdb://h?discoveryInterval=7&tls=false").client.discovery_interval().as_millis(), 7);
        assert_eq!(of("kurrentdb://a:1,b:2,c:3?tls=false").client.hosts().len(), 3);
        assert!(Settings::parse("kurrentdb://h?maxDiscoverAttempts=1").is_err());
    }

    #[test]
    fn a_password_is_decoded_and_never_told() {
        let found = credentials("kurrentdb://ad%6Din:p%40s%2Fs@h:2113?tls=false").unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", Credentials::new("admin", "p@s/s")));
        assert!(credentials("kurrentdb://h:2113?x=a@b").is_none());
        let Err(refused) = Settings::parse("kurrentdb://u:secret@h:99999") else { panic!("the port is out of range") };
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }

    #[test]
    fn a_file_that_holds_no_certificates_is_refused_before_the_client_panics() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n").unwrap();
        let url = format!("kurrentdb://h?tlsCaFile={}", file.path().display());
        assert!(matches!(Settings::parse(&url), Err(ConnectError::Certificates(..))));
    }
}
