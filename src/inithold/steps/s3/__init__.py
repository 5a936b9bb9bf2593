"""Object storage with the S3 API."""

from inithold.steps.s3.bucket import Bucket

__all__ = ["Bucket"]
