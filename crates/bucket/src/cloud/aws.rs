//! As whom AWS is asked: keys, profiles, roles.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use tokio::runtime::Runtime;

use super::{
    address::is_loopback,
    signer::{self, Direct, METADATA_TIMEOUT, Named},
};
use crate::{
    Access, BucketError, Credentials, Environment, ErrorKind, Key, Secret, credentials::read_file,
};

/// The region of those who name none.
const USUAL_REGION: &str = "us-east-1";

/// The domain of a region's services.
#[must_use]
pub fn aws_domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// Tells a client where to look for credentials, by the variables that AWS's own tools read.
/// `variable` gives their values.
#[must_use]
pub fn aws_identity(
    mut builder: AmazonS3Builder,
    region: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> AmazonS3Builder {
    use AmazonS3ConfigKey as Is;
    for (names, key) in [
        (&["AWS_ACCESS_KEY_ID"][..], Is::AccessKeyId),
        (&["AWS_SECRET_ACCESS_KEY"], Is::SecretAccessKey),
        (&["AWS_SESSION_TOKEN"], Is::Token),
        (&["AWS_WEB_IDENTITY_TOKEN_FILE"], Is::WebIdentityTokenFile),
        (&["AWS_ROLE_ARN"], Is::RoleArn),
        (&["AWS_ROLE_SESSION_NAME"], Is::RoleSessionName),
        (
            &["AWS_METADATA_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT"],
            Is::MetadataEndpoint,
        ),
        (
            &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"],
            Is::ContainerCredentialsRelativeUri,
        ),
        (
            &["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            Is::ContainerCredentialsFullUri,
        ),
        (
            &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
            Is::ContainerAuthorizationTokenFile,
        ),
    ] {
        if let Some(value) = names.iter().find_map(|name| variable(name)) {
            builder = builder.with_config(key, value);
        }
    }
    let sts = variable("AWS_ENDPOINT_URL_STS")
        .unwrap_or_else(|| format!("https://sts.{region}.{}", aws_domain(region)));
    builder.with_config(Is::StsEndpoint, sts)
}

/// Who signs.
pub(super) enum Signer {
    Nobody,
    Source(AwsCredentialProvider),
}

/// The first credentials that there are; see [`Credentials`] for the order. With what messages call
/// their account.
pub(super) fn identify(
    place: &str,
    credentials: &Credentials,
    profile: Option<Profile>,
    region: &str,
    access: Access,
    runtime: &Runtime,
) -> Result<(Signer, String), BucketError> {
    let environment = &credentials.environment;
    if credentials.anonymous {
        return Ok((Signer::Nobody, "an anonymous reader".to_owned()));
    }
    let fixed = |keys: AwsCredential| {
        let name = format!("the access key {}", keys.key_id);
        let source = object_store::StaticCredentialProvider::new(keys);
        Ok((Signer::Source(Arc::new(source)), name))
    };
    if let Some(key) = &credentials.key {
        return fixed(read_key(key, environment)?);
    }
    let (id, secret) = (
        environment.variable(&["AWS_ACCESS_KEY_ID"]),
        environment.variable(&["AWS_SECRET_ACCESS_KEY"]),
    );
    match (id, secret) {
        (Some(id), Some(secret)) => {
            return fixed(AwsCredential {
                key_id: id.to_owned(),
                secret_key: secret.to_owned(),
                token: environment
                    .variable(&["AWS_SESSION_TOKEN"])
                    .map(str::to_owned),
            });
        }
        (None, None) => {}
        (is, _) => {
            let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
            let [given, missing] = match is {
                Some(_) => names,
                None => [names[1], names[0]],
            };
            return Err(BucketError::new(
                ErrorKind::MalformedKey,
                place,
                format!("{given} is set, and {missing} is not"),
            )
            .mend("set both, or neither"));
        }
    }
    let variable = |name: &str| environment.variable(&[name]).map(str::to_owned);
    let builder = || {
        let blank = AmazonS3Builder::new()
            .with_bucket_name("unused")
            .with_region(region)
            .with_retry(signer::retries());
        aws_identity(blank, region, variable)
    };
    let source = |builder: AmazonS3Builder| {
        let client = builder.build().map_err(|error| {
            BucketError::new(ErrorKind::Unauthenticated, place, error.to_string())
        })?;
        Ok::<_, BucketError>(Arc::clone(client.credentials()))
    };
    if let Some(file) = environment.variable(&["AWS_WEB_IDENTITY_TOKEN_FILE"]) {
        let Some(role) = environment.variable(&["AWS_ROLE_ARN"]) else {
            let what = "AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not";
            return Err(BucketError::new(ErrorKind::MalformedKey, place, what)
                .mend("annotate the service account with its role, or set AWS_ROLE_ARN"));
        };
        // for its size and readability only: it is read anew for each token
        read_file(file.as_ref())?;
        let sts = environment.variable(&["AWS_ENDPOINT_URL_STS"]);
        let client = match sts.is_some_and(is_loopback) {
            true => builder().with_http_connector(Direct),
            false => builder(),
        };
        let name = format!("the role {role}");
        let found = signer::named(place, access, runtime, source(client)?, &name)?;
        return Ok((Signer::Source(found), name));
    }
    if let Some(profile) = profile
        && let Some(keys) = profile.keys(place)?
    {
        return fixed(keys);
    }
    let client = builder().with_http_connector(Direct);
    if environment
        .variable(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
        .is_some()
        || environment
            .variable(&["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
            .is_some()
    {
        if environment
            .variable(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
            .is_none()
            && environment
                .variable(&["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
                .is_none()
        {
            let what = "AWS_CONTAINER_CREDENTIALS_FULL_URI is set, and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is not";
            return Err(BucketError::new(ErrorKind::MalformedKey, place, what)
                .mend("set both; a token in AWS_CONTAINER_AUTHORIZATION_TOKEN is not supported"));
        }
        let name = "the container's role";
        let found = signer::named(place, access, runtime, source(client)?, name)?;
        return Ok((Signer::Source(found), name.to_owned()));
    }
    let why = if environment.says("AWS_EC2_METADATA_DISABLED") {
        "AWS_EC2_METADATA_DISABLED is set".to_owned()
    } else {
        let found = source(client)?;
        match signer::first(runtime, &found, METADATA_TIMEOUT) {
            Ok(()) => {
                let name = "the instance's role".to_owned();
                let found = Named {
                    source: found,
                    name: name.clone(),
                };
                return Ok((Signer::Source(Arc::new(found)), name));
            }
            Err(failure) => format!("no instance metadata: {}", signer::why(&failure)),
        }
    };
    Err(no_credentials(place, access, &why))
}

fn no_credentials(place: &str, access: Access, why_not: &str) -> BucketError {
    let mut mend = "give one of: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN); \
        AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN (IRSA: a service account with a role); a profile with keys \
        (~/.aws/credentials, AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE); EKS pod identity or an ECS task's role \
        (AWS_CONTAINER_CREDENTIALS_…); an instance with a role"
        .to_owned();
    if access == Access::Read {
        mend.push_str("; for reading also --key-file FILE, or --anonymous for a public bucket");
    }
    BucketError::new(
        ErrorKind::Unauthenticated,
        place,
        format!("no credentials for it ({why_not})"),
    )
    .mend(mend)
}

/// Keys that were given, in the form of `~/.aws/credentials`.
fn read_key(key: &Key, environment: &Environment) -> Result<AwsCredential, BucketError> {
    let (place, text) = key.read("the key")?;
    let wanted = environment.variable(&["AWS_PROFILE"]).unwrap_or("default");
    let sections = sections(&text);
    // one that is there alone needs no name
    let section = match (sections.get(wanted), sections.len()) {
        (Some(section), _) => Some(section.clone()),
        (None, 1) => sections.into_values().next(),
        (None, _) => None,
    };
    let found = section.map(|settings| Profile {
        place: place.clone(),
        settings,
    });
    match found.map(|profile| profile.keys(&place)).transpose()? {
        Some(Some(keys)) => Ok(keys),
        _ => Err(BucketError::new(
            ErrorKind::MalformedKey,
            place,
            format!("has no aws_access_key_id and aws_secret_access_key of the profile \"{wanted}\""),
        )
        .mend("give a file as ~/.aws/credentials is: [default], aws_access_key_id = …, aws_secret_access_key = …")),
    }
}

/// A profile of AWS's shared files.
pub(super) struct Profile {
    /// What messages call it.
    place: String,
    settings: BTreeMap<String, Secret>,
}

impl Profile {
    /// The profile that `AWS_PROFILE` names, or the default one: what both files say of it.
    ///
    /// # Errors
    /// Where one is named and there is none, and where a file is there that can't be read.
    pub(super) fn find(
        place: &str,
        environment: &Environment,
    ) -> Result<Option<Self>, BucketError> {
        let named = environment.variable(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = named.unwrap_or("default");
        let file = |variable: &str, usual: &str| match environment.variable(&[variable]) {
            Some(path) => Some(PathBuf::from(path)),
            None => environment
                .home
                .as_ref()
                .map(|home| home.join(".aws").join(usual)),
        };
        let mut settings = BTreeMap::new();
        let mut looked = Vec::new();
        let files = [
            file("AWS_CONFIG_FILE", "config"),
            file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ];
        for path in files.into_iter().flatten() {
            looked.push(path.display().to_string());
            // a file that is not there is none; one that is there and can't be read is a fault
            if !fs::exists(&path).unwrap_or(true) {
                continue;
            }
            if let Some(section) = sections(&read_file(&path)?).remove(name) {
                settings.extend(section);
            }
        }
        if settings.is_empty() {
            return match named {
                None => Ok(None),
                Some(name) => Err(BucketError::new(
                    ErrorKind::MalformedKey,
                    place,
                    format!("no profile \"{name}\" in {}", looked.join(" and ")),
                )
                .mend("see AWS_PROFILE, or unset it")),
            };
        }
        let place = format!("the profile \"{name}\"");
        Ok(Some(Self { place, settings }))
    }

    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(Secret::reveal)
    }

    /// Its keys, if it has some.
    fn keys(&self, place: &str) -> Result<Option<AwsCredential>, BucketError> {
        let wrong = |message: String| BucketError::new(ErrorKind::MalformedKey, place, message);
        match (
            self.setting("aws_access_key_id"),
            self.setting("aws_secret_access_key"),
        ) {
            (Some(id), Some(secret)) => Ok(Some(AwsCredential {
                key_id: id.to_owned(),
                secret_key: secret.to_owned(),
                token: self.setting("aws_session_token").map(str::to_owned),
            })),
            (Some(_), None) => Err(wrong(format!(
                "{} has no aws_secret_access_key",
                self.place
            ))),
            (None, Some(_)) => Err(wrong(format!("{} has no aws_access_key_id", self.place))),
            (None, None) => {
                let by_others = [
                    "sso_",
                    "role_arn",
                    "credential_process",
                    "source_profile",
                    "login_",
                ];
                let other = self
                    .settings
                    .keys()
                    .find(|name| by_others.iter().any(|start| name.starts_with(start)));
                match other {
                    None => Ok(None),
                    Some(other) => Err(wrong(format!(
                        "{} gets its keys by {other}, which is not supported",
                        self.place
                    ))
                    .mend("export its keys: eval \"$(aws configure export-credentials --format env)\"")),
                }
            }
        }
    }
}

/// The sections of an INI file and their settings, names of settings in lower case. `[profile x]` is
/// the section `x`. Lines that are indented belong to the setting above and say nothing here.
fn sections(text: &Secret) -> BTreeMap<String, BTreeMap<String, Secret>> {
    let mut found: BTreeMap<String, BTreeMap<String, Secret>> = BTreeMap::new();
    let mut current = None;
    for line in text.reveal().lines() {
        if line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            let name = name.trim();
            let bare = name.strip_prefix("profile ").map_or(name, str::trim);
            current = Some(found.entry(bare.to_owned()).or_default());
        } else if let (Some(section), Some((name, value))) = (&mut current, line.split_once('=')) {
            let value = value.split(" #").next().unwrap_or(value).trim();
            if !value.is_empty() {
                section.insert(name.trim().to_ascii_lowercase(), Secret::new(value));
            }
        }
    }
    found
}

/// The region to ask: the first of what the destination, the environment and the profile say.
pub(super) fn region(
    place: &str,
    given: Option<&str>,
    environment: &Environment,
    profile: Option<&Profile>,
) -> Result<String, BucketError> {
    let region = given
        .or_else(|| environment.variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
        .or_else(|| profile.and_then(|profile| profile.setting("region")))
        .unwrap_or(USUAL_REGION);
    // it becomes part of a host's name
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if region.len() <= 40 && region.bytes().all(fits) {
        return Ok(region.to_owned());
    }
    let what = format!("\"{}\" is no region of AWS", region.escape_debug());
    Err(BucketError::new(ErrorKind::Name, place, what).mend("give one like eu-west-1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_as_the_tools_of_aws_do() {
        let text = "# mine\n[default]\naws_access_key_id = AK1\nAWS_SECRET_ACCESS_KEY=a/b+c==\n\n[profile far]\nregion=eu-west-1 # there\ns3 =\n  addressing_style = path\n[ sso ]\nsso_session = x\n";
        let sections = sections(&Secret::new(text));
        let value = |section: &str, name: &str| sections[section].get(name).map(Secret::reveal);
        assert_eq!(value("default", "aws_access_key_id"), Some("AK1"));
        assert_eq!(value("default", "aws_secret_access_key"), Some("a/b+c=="));
        assert_eq!(value("far", "region"), Some("eu-west-1"));
        assert_eq!(value("far", "addressing_style"), None);
        let sso = Profile {
            place: "the profile \"sso\"".into(),
            settings: sections["sso"].clone(),
        };
        let error = sso.keys("s3://b").unwrap_err().to_string();
        assert!(error.contains("sso_session") && error.contains("export-credentials"));
    }
}
