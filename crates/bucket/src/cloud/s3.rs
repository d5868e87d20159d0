//! S3 of AWS, and what speaks it: where it is, and what its answers mean.

use object_store::aws::AmazonS3Builder;

use super::{
    AfterPut, Answer, CloudBucket, Doing, Vendor,
    address::{check_plain, is_plain},
    aws::{self, Profile, Signer, aws_domain},
    client_options, retries, threads,
};
use crate::{Access, BucketError, Credentials, Environment, ErrorKind, destination::S3Place};

/// The URL of a bucket of AWS.
#[must_use]
pub fn s3_url(bucket: &str, region: &str) -> String {
    let domain = aws_domain(region);
    if bucket.contains('.') {
        // a certificate's wildcard covers one label
        format!("https://s3.{region}.{domain}/{bucket}")
    } else {
        format!("https://{bucket}.s3.{region}.{domain}")
    }
}

/// Where S3 is, if it is not that of AWS.
pub(crate) fn endpoint(at: &S3Place, environment: &Environment) -> Option<String> {
    let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let given = at
        .endpoint
        .as_deref()
        .or_else(|| environment.variable(&names));
    given.map(|url| url.trim_end_matches('/').to_owned())
}

/// Finds credentials and makes the client. Asks the bucket nothing.
pub(crate) fn connect(
    at: &S3Place,
    credentials: &Credentials,
    access: Access,
) -> Result<CloudBucket, BucketError> {
    let bucket = &at.bucket;
    let place = format!("s3://{bucket}");
    let environment = &credentials.environment;
    let runtime = threads(&place)?;
    let profile = match credentials.anonymous || credentials.key.is_some() {
        true => None,
        false => Profile::find(&place, environment)?,
    };
    let region = aws::region(&place, at.region.as_deref(), environment, profile.as_ref())?;
    let endpoint = endpoint(at, environment).or_else(|| {
        let named = profile.as_ref()?.setting("endpoint_url")?;
        Some(named.trim_end_matches('/').to_owned())
    });
    let url = match &endpoint {
        None => s3_url(bucket, &region),
        Some(endpoint) => {
            let allowed = environment.says("AWS_ALLOW_HTTP");
            check_plain(&place, endpoint, "AWS_ALLOW_HTTP", allowed)?;
            match endpoint.split_once("://") {
                Some((scheme, host)) if environment.says("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") => {
                    format!("{scheme}://{bucket}.{host}")
                }
                _ => format!("{endpoint}/{bucket}"),
            }
        }
    };
    let (signer, account) = aws::identify(&place, credentials, profile, &region, access, &runtime)?;
    let builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&region)
        // the whole URL of the bucket, whichever style it has
        .with_endpoint(&url)
        .with_virtual_hosted_style_request(true)
        .with_client_options(client_options(access, is_plain(&url)))
        .with_retry(retries(access));
    let builder = match signer {
        Signer::Nobody => builder.with_skip_signature(true),
        Signer::Source(source) => builder.with_credentials(source),
    };
    let store = builder
        .build()
        .map_err(|error| BucketError::new(ErrorKind::Other, &place, error.to_string()))?;
    let vendor = S3 {
        place,
        arn: format!("arn:aws:s3:::{bucket}"),
        account,
        region,
        at_aws: endpoint.is_none(),
    };
    Ok(CloudBucket::new(store, vendor, &at.prefix, runtime))
}

struct S3 {
    place: String,
    arn: String,
    /// Whose credentials are used, for messages.
    account: String,
    region: String,
    at_aws: bool,
}

/// Codes of answers to requests whose signature is wrong, or of an account that there is not.
const NOT_LET_IN: [&str; 9] = [
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "InvalidSecurity",
    "NotSignedUp",
];

impl S3 {
    fn wrong_region(&self, detail: &str) -> BucketError {
        BucketError::new(
            ErrorKind::Other,
            self.place.as_str(),
            format!("is not in the region {}{detail}", self.region),
        )
        .mend("name the bucket's region: ?region=REGION after the destination, or AWS_REGION")
    }
}

impl Vendor for S3 {
    fn place(&self) -> &str {
        &self.place
    }

    fn explain(&self, doing: Doing, place: &str, answer: &Answer<'_>) -> Option<BucketError> {
        let (account, detail) = (&self.account, answer.detail());
        let (action, arn) = match doing {
            Doing::Create => ("s3:PutObject", format!("{}/*", self.arn)),
            Doing::Get => ("s3:GetObject", format!("{}/*", self.arn)),
            Doing::List => ("s3:ListBucket", self.arn.clone()),
        };
        Some(match (answer.status, answer.code) {
            (_, code) if NOT_LET_IN.contains(&code) => {
                let said =
                    format!("the credentials of {account} were not accepted: {code}{detail}");
                BucketError::new(ErrorKind::Unauthenticated, place, said).mend(match code {
                    "RequestTimeTooSkewed" => "set this machine's clock",
                    "ExpiredToken" | "TokenRefreshRequired" => "get new temporary keys",
                    _ => "see whether the key's id and secret belong together and still exist, and this machine's clock is right",
                })
            }
            (301 | 307, _)
            | (400, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                self.wrong_region(&detail)
            }
            // an answer to HEAD has no body to say more
            (400, "") if self.at_aws && doing == Doing::Get => self.wrong_region(&detail),
            (401, _) => BucketError::new(
                ErrorKind::Unauthenticated,
                place,
                format!("the credentials of {account} were not accepted{detail}"),
            ),
            (403, _) => {
                let more = match doing {
                    // S3 does not tell those who may not list whether an object is there
                    Doing::Get => {
                        " (it says so, too, of an object that is not there to an account without s3:ListBucket)"
                    }
                    _ => "",
                };
                BucketError::new(
                    ErrorKind::Forbidden,
                    place,
                    format!("{account} lacks {action} there{detail}{more}"),
                )
                .mend(format!(
                    "allow {action} on {arn} in a policy of that account or of the bucket"
                ))
            }
            (404, code) if doing != Doing::Get || code == "NoSuchBucket" => BucketError::new(
                ErrorKind::NoBucket,
                self.place.as_str(),
                format!("there is no such bucket{detail}"),
            )
            .mend(format!(
                "see its name, or make it: aws s3 mb {}",
                self.place
            )),
            (501, _) if doing == Doing::Create => BucketError::new(
                ErrorKind::Other,
                place,
                format!("the store does not take conditional puts{detail}"),
            )
            .mend("record to a store that knows If-None-Match, so that nothing is written over"),
            _ => return None,
        })
    }

    fn after_put(&self, answer: &Answer<'_>) -> Option<AfterPut> {
        match (answer.status, answer.code) {
            // another put of that name is under way: a later attempt sees how it ended
            (409, _) | (503, "SlowDown") => Some(AfterPut::NotNow),
            (501, _) => Some(AfterPut::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_buckets() {
        for (bucket, region, url) in [
            ("b-1", "eu-west-1", "https://b-1.s3.eu-west-1.amazonaws.com"),
            ("a.b", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/a.b"),
            (
                "b-1",
                "cn-north-1",
                "https://b-1.s3.cn-north-1.amazonaws.com.cn",
            ),
        ] {
            assert_eq!(s3_url(bucket, region), url);
        }
    }
}
