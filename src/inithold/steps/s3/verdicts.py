"""Decides whether an error of the S3 API means absent, not yet, or never.

The codes are those of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. MinIO's own begin with
XMinio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.http import may_pass

ABSENT = (
    "404",
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "NoSuchCORSConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchTagSet",
    "NoSuchTagSetError",
    "ObjectLockConfigurationNotFoundError",
)
UNKNOWN = ("NotImplemented", "MethodNotAllowed", "XNotImplemented")
VIRTUAL_ONLY = ("SecondLevelDomainForbidden", "PathStyleDomainForbidden", "VirtualHostDomainRequired")
"""Errors of servers that require the bucket's name in the host name."""
WHY = "get_bucket_location"
"""The request to send if HEAD of the bucket was refused, to get a reason."""
_DENIED = (
    "let the user of access_key do that: the kind's page lists the rights that it needs; "
    "where somebody else owns the bucket, choose another name"
)
_NOT_YET = (
    "BadGateway",
    "GatewayTimeout",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "XMinioServerNotInitialized",
    "XMinioStorageResourceInsufficient",
)
_REJECTED = {
    "InvalidAccessKeyId": "check access_key: the service does not know it",
    "SignatureDoesNotMatch": "check secret_key: it does not belong to access_key",
    "ExpiredToken": "the session's token has expired: get new credentials",
    "InvalidToken": "check the session's token",
}
_HINTS = {
    "403": _DENIED,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": "the service has locked this account",
    "AccountProblem": "the service has locked this account",
    "BucketAlreadyExists": "somebody else owns a bucket of this name: choose another",
    "InvalidBucketName": "3 to 63 characters: lower-case letters, digits, hyphens; no underscore",
    "MalformedPolicy": "compare the policy with the documentation of the service",
    "InvalidBucketState": "object lock needs versioning, and on some servers a new bucket",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "TooManyBuckets": "the account has reached its limit of buckets",
}
_SAYS = "compare the step's fields with what the service says"
_WRONG_REGION = ("301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


def refused(place: str, operation: str, region: str, response: Mapping[str, Any]) -> StepError:
    """Return the step's error for a refused operation; `response` is that of botocore's `ClientError`."""
    details, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, status = str(details.get("Code", "")), metadata.get("HTTPStatusCode", 0)
    message = f"{place}: {details.get('Message') or code}"
    if code in _WRONG_REGION:
        right = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region") or details.get("Region")
        hint = f"set region: {right}" if right else "set region to that of the bucket"
        return StepFailed(f"{place}: the region is not {region}", hint=hint)
    if code in _NOT_YET or may_pass(status):
        return NotYet(message)
    if code in _REJECTED:
        return Rejected(message, hint=_REJECTED[code])
    return StepFailed(
        f"{message} ({'head_bucket' if operation == WHY else operation})", hint=_HINTS.get(code, _SAYS)
    )
