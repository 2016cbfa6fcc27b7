//! Where a proxy is named: `[upstream]`, and the environment where that is silent, by curl's rules.
//!
//! | asked for | looked for in this order |
//! | --- | --- |
//! | the proxy | `upstream.proxy`, `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
//! | who is reached without it | `upstream.no_proxy`, `no_proxy`, `NO_PROXY`; whatever named the proxy |
//! | its user and password | `upstream.proxy_credentials_file`, the proxy's address |
//!
//! The first that is set wins, and an empty variable is not set. `HTTP_PROXY` is not looked at: plain http goes to loopback hosts only,
//! which are reached without a proxy.

use std::fmt;
use std::sync::Arc;

use super::super::credentials::{fit_for_use, secret_file};
use super::super::fault::{Place, Report, Reported};
use super::super::resolve::Surroundings;
use super::super::resolved::SecretSource;
use super::super::source::Origin;
use super::super::tree::{Found, Section, quoted};
use super::address::{self, Spelling};
use super::{Exception, Proxy, ProxySettings};

/// The variables that name a proxy.
const PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// The variables that say who is reached without it.
const NO_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

const PROXY: &str = "proxy";
const NO_PROXY: &str = "no_proxy";
const CREDENTIALS_FILE: &str = "proxy_credentials_file";

/// What the environment says of proxies. Shows no value, because a password may be in one.
pub(in crate::settings) struct ProxyVariables(Vec<(String, String)>);

impl ProxyVariables {
    /// Takes what is of use here out of the environment.
    pub(in crate::settings) fn of(env: &[(String, String)]) -> Self {
        let is_ours = |name: &str| PROXY_VARIABLES.contains(&name) || NO_PROXY_VARIABLES.contains(&name);
        let ours = env
            .iter()
            .filter(|(name, value)| is_ours(name) && !value.trim().is_empty());
        Self(ours.cloned().collect())
    }

    /// The first of these that is set.
    fn first_of(&self, names: &[&str]) -> Option<(&str, &str)> {
        let set = |wanted: &&str| self.0.iter().find(|(name, _)| name == *wanted);
        let (name, value) = names.iter().find_map(set)?;
        Some((name, value.trim()))
    }
}

impl fmt::Debug for ProxyVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A proxy, or that there is to be none; and who said so.
struct Named {
    proxy: Option<Proxy>,
    origin: String,
}

/// Takes the keys of proxies out of `[upstream]`.
pub(in crate::settings) fn take(section: &mut Section<'_>, around: &Surroundings) -> Result<ProxySettings, Reported> {
    let own = section.parsed_hushed(PROXY, "text in quotes", |text| match text {
        "none" => Ok(None),
        text => address::parse(text, Spelling::Whole).map(Some),
    });
    let exceptions = section.list(NO_PROXY, Exception::parse);
    let file = match secret_file(section, CREDENTIALS_FILE, around)? {
        Some(path) => {
            let source = fit_for_use(&path, SecretSource::read_user_and_password, section)?;
            Some((path.place, source))
        }
        None => None,
    };
    let named = match own? {
        Some(own) => {
            check_credentials(&own, file.as_ref().map(|(place, _)| place), around, section.report)?;
            Some(Named {
                origin: origin(&own.place),
                proxy: own.value,
            })
        }
        None => from_environment(section, around)?,
    };
    let (proxy, origin) = match named {
        Some(named) => (named.proxy, Some(named.origin)),
        None => (None, None),
    };
    if proxy.is_none()
        && let Some((place, _)) = &file
    {
        let message = "has no effect: neither upstream.proxy nor HTTPS_PROXY names a proxy";
        section.report.warn(place.key.as_str(), message);
    }
    let (exceptions, exceptions_origin) = match exceptions? {
        Some(found) => (found.value, Some(self::origin(&found.place))),
        None if proxy.is_some() => exceptions_from_environment(around, section.report),
        None => (Vec::new(), None),
    };
    let proxy = proxy.map(|mut proxy| {
        proxy.credentials = file.map(|(_, source)| source).or(proxy.credentials);
        Arc::new(proxy)
    });
    Ok(ProxySettings {
        proxy,
        origin,
        exceptions,
        exceptions_origin,
    })
}

/// Reports the keys of proxies where they do not belong, in `[streams.NAME]`.
pub(in crate::settings) fn refuse_in_stream(section: &mut Section<'_>) {
    for key in [PROXY, NO_PROXY, CREDENTIALS_FILE] {
        section.refuse(
            key,
            "is for all streams, because they share token endpoints and this machine's network: set it in [upstream], and name hosts \
             that are to be reached without the proxy in upstream.no_proxy",
        );
    }
}

/// One set of credentials, and not in a file that everybody may read.
fn check_credentials(
    own: &Found<Option<Proxy>>,
    file: Option<&Place>,
    around: &Surroundings,
    report: &mut Report,
) -> Result<(), Reported> {
    if own.value.as_ref().is_none_or(|proxy| proxy.credentials.is_none()) {
        return Ok(());
    }
    if let Some(file) = file {
        let problem = "upstream.proxy has a user and password as well; keep one of the two";
        return Err(report.fault(file, None, problem));
    }
    if own.place.origin == Origin::File {
        around.warn_of_secret(own.place.key.clone(), report);
    }
    Ok(())
}

fn from_environment(section: &mut Section<'_>, around: &Surroundings) -> Result<Option<Named>, Reported> {
    let Some((variable, text)) = around.proxies.first_of(&PROXY_VARIABLES) else {
        return Ok(None);
    };
    match address::parse(text, Spelling::Usual) {
        Ok(proxy) => Ok(Some(Named {
            proxy: Some(proxy),
            origin: variable.to_owned(),
        })),
        Err(problem) => {
            let place = Place {
                key: section.absent(PROXY).key,
                origin: Origin::Variable(variable.to_owned()),
            };
            Err(section.report.fault(&place, None, problem))
        }
    }
}

/// All programs of a machine read `NO_PROXY`, and each understands something else: what we do not is passed over with a warning.
fn exceptions_from_environment(around: &Surroundings, report: &mut Report) -> (Vec<Exception>, Option<String>) {
    let Some((variable, text)) = around.proxies.first_of(&NO_PROXY_VARIABLES) else {
        return (Vec::new(), None);
    };
    let mut exceptions = Vec::new();
    for item in text.split([',', ' ', '\t']).filter(|item| !item.is_empty()) {
        match Exception::parse(item) {
            Ok(exception) => exceptions.push(exception),
            Err(problem) => report.warn(variable, format!("{} is passed over: it {problem}", quoted(item))),
        }
    }
    (exceptions, Some(variable.to_owned()))
}

/// Who set a value, as people look for it.
fn origin(place: &Place) -> String {
    match &place.origin {
        Origin::Variable(variable) => variable.clone(),
        Origin::File | Origin::Absent => place.key.clone(),
    }
}
