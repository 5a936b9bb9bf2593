"""How the settings of a bucket differ from the server's, whatever form the server has them in."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from inithold.steps.s3 import settings
from inithold.steps.s3.settings import CorsRule, Expiration, LifecycleRule, PublicAccessBlock, Retention

GET = CorsRule(allowed_methods=("GET",), allowed_origins=("*",))


def test_names_in_snake_case_are_those_of_the_api() -> None:
    form = settings.s3_form(LifecycleRule(id="a", expiration=Expiration(days=1)))
    assert form == {"ID": "a", "Expiration": {"Days": 1}}
    assert settings.s3_name("restrict_public_buckets") == "RestrictPublicBuckets"
    assert settings.s3_name("AllowedMethods") == "AllowedMethods"


def test_a_rule_without_a_name_is_in_place_whatever_name_the_server_gave_it() -> None:
    current = [{"ID": "made-up", "AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]
    assert settings.cors([GET], {"CORSRules": current}) is None


def test_the_order_of_lists_and_what_is_empty_do_not_matter() -> None:
    rule = CorsRule(allowed_methods=("PUT", "GET"), allowed_origins=("*",))
    current = [
        {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"], "ExposeHeaders": [], "MaxAgeSeconds": 0}
    ]
    assert settings.cors([rule], {"CORSRules": current}) is None


def test_two_equal_rules_need_two() -> None:
    found = settings.cors([GET, GET], {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    assert found is not None
    assert found.change.what == "cors (1 to add)"


def test_other_rules_stay_before_those_of_the_plan() -> None:
    other = {"ID": "other", "AllowedMethods": ["POST"], "AllowedOrigins": ["https://x"]}
    found = settings.cors([GET], {"CORSRules": [other]})
    assert found is not None
    assert found.put["CORSConfiguration"]["CORSRules"] == [
        other,
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]},
    ]
    assert found.change.details == ("+ GET from *", "  other: POST from https://x stays")


@pytest.mark.parametrize(
    "current",
    [
        {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}},
        {"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}},
        {"ID": "a", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}},
    ],
)
def test_a_rule_for_all_objects_has_several_forms(current: dict[str, object]) -> None:
    rule = LifecycleRule(id="a", expiration=Expiration(days=1))
    assert settings.lifecycle([rule], {"Rules": [current]}) is None


def test_a_day_is_midnight_utc() -> None:
    rule = LifecycleRule(id="a", prefix="x/", expiration=Expiration(date=date(2030, 1, 1)))
    midnight = datetime(2030, 1, 1, tzinfo=UTC)
    current = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Date": midnight}}
    assert settings.lifecycle([rule], {"Rules": [current]}) is None
    found = settings.lifecycle([rule], {})
    assert found is not None
    assert found.put["LifecycleConfiguration"]["Rules"][0]["Expiration"]["Date"] == midnight


def test_what_else_a_lifecycle_configuration_holds_is_given_back() -> None:
    rule = LifecycleRule(id="a", expiration=Expiration(days=1))
    size = "TransitionDefaultMinimumObjectSize"
    found = settings.lifecycle([rule], {"Rules": [], size: "varies_by_storage_class"})
    assert found is not None
    assert found.put[size] == "varies_by_storage_class"


def test_a_policy_s_single_item_and_its_list_are_the_same() -> None:
    given = {"statement": [{"effect": "Allow", "principal": "*", "action": ["s3:Get*"], "resource": ["a"]}]}
    current = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:Get*", "Resource": "a"}}
    assert settings.policy(given, {"Policy": json.dumps(current)}) is None


def test_a_statement_with_a_condition_is_not_the_one_without() -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "a"}
    current = {"Statement": [{**statement, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}]}
    found = settings.policy({"statement": [statement]}, {"Policy": json.dumps(current)})
    assert found is not None
    assert found.change.details == ("+ Allow s3:GetObject", "  Allow s3:GetObject stays")


def test_what_the_plan_does_not_say_of_public_access_stays() -> None:
    block = PublicAccessBlock(block_public_acls=True)
    now = {"BlockPublicAcls": False, "BlockPublicPolicy": True}
    found = settings.public_access_block(block, {"PublicAccessBlockConfiguration": now})
    assert found is not None
    assert found.change.details == ("block_public_acls false -> true",)
    assert found.put == {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True}}
    assert settings.public_access_block(block, found.put) is None


def test_a_default_retention_that_the_plan_does_not_name_stays() -> None:
    now = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}}
    assert settings.object_lock(True, {"ObjectLockConfiguration": now}) is None
    found = settings.object_lock(Retention(mode="GOVERNANCE", days=3), {"ObjectLockConfiguration": now})
    assert found is not None
    assert found.change.details == ("mode COMPLIANCE -> GOVERNANCE", "days none -> 3", "years 1 -> none")


def test_names_of_a_policy_are_those_of_its_grammar() -> None:
    statement = {
        "sid": "Own",
        "effect": "Allow",
        "principal": {"aws": ["arn:aws:iam::1:root"], "canonical_user": "c"},
        "not_action": "s3:Delete*",
        "resource": "a",
        "condition": {"string_equals": {"aws:SourceVpc": "vpc-1"}},
    }
    assert settings.policy_form({"id": "mine", "statement": statement}) == {
        "Id": "mine",
        "Statement": [
            {
                "Sid": "Own",
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::1:root"], "CanonicalUser": "c"},
                "NotAction": "s3:Delete*",
                "Resource": "a",
                "Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}},
            }
        ],
    }
