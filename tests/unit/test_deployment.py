"""The Dockerfile, compose.yaml and the proxy's file hold to our own rules (docs/deployment.md, decision 0042)."""

import re
from ipaddress import ip_address, ip_network

import pytest
import yaml

from core import serving
from core.providers.http import MAX_SECONDS
from core.settings import Settings
from tests.deployment.compose import FILES, OURS, ROOT, environment_of, read_compose, read_image, seconds

IMAGE = read_image()
COMPOSE = read_compose(variables={"POSTGRES_PASSWORD": "secretword"})
LAPTOP = read_compose(FILES[0], FILES[1])
PROXY = (ROOT / "deploy/Caddyfile").read_text()
SECRETS = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")


def test_the_last_stage_runs_as_an_ordinary_user_and_copies_only_what_was_made():
    last = max(stage for stage, _, _ in IMAGE.instructions)

    assert IMAGE.user == "10001"
    assert all("--from=installed" in rest for rest in IMAGE.said("COPY", stage=last))
    assert not any("apt-get" in rest or "pip" in rest for rest in IMAGE.said("RUN", stage=last))


def test_every_package_comes_as_a_wheel_with_its_hash():
    (install,) = [rest for rest in IMAGE.said("RUN") if "pip install" in rest]

    assert "--require-hashes" in install
    assert "--only-binary :all:" in install


def test_bases_are_pinned_to_a_whole_version():
    bases = [rest.split()[0] for rest in IMAGE.said("FROM")]
    images = [one["image"] for name, one in COMPOSE["services"].items() if name not in OURS]

    assert all(re.search(r":\d+\.\d+(\.\d+)?-", image) for image in bases + images), bases + images


def test_the_image_holds_a_health_check_and_no_secret():
    assert IMAGE.said("HEALTHCHECK")
    assert not any(SECRETS.search(name) for name in IMAGE.environment)


def test_what_goes_to_the_builder_is_what_runs():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}

    assert rules[0] == "*"
    assert all((ROOT / name).exists() for name in let_in)
    assert not {"tests", "docs", "bench", ".env", ".git", "deploy", ".studio"} & let_in
    assert "**/.env*" in rules


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_can_do_no_more_than_it_must(name):
    service = COMPOSE["services"][name]
    limits = service["deploy"]["resources"]["limits"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert {"memory", "cpus", "pids"} <= set(limits)
    assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert not service.get("privileged")


def test_only_the_proxy_is_reached_from_outside_and_the_database_by_ours_alone():
    published = {name for name, service in COMPOSE["services"].items() if service.get("ports")}

    assert published == {"proxy"}
    assert COMPOSE["services"]["database"]["networks"] == ["back"]
    assert list(COMPOSE["services"]["proxy"]["networks"]) == ["front"]


def test_the_address_that_is_believed_is_the_proxys_and_docker_gives_it_to_nobody_else():
    believed = COMPOSE["services"]["studio"]["environment"]["TRUSTED_PROXIES"]
    [pool] = COMPOSE["networks"]["front"]["ipam"]["config"]

    assert COMPOSE["services"]["proxy"]["networks"]["front"]["ipv4_address"] == believed
    assert ip_address(believed) in ip_network(pool["subnet"])
    assert ip_address(believed) not in ip_network(pool["ip_range"])
    assert pool["gateway"] != believed


def test_on_a_laptop_every_door_is_on_loopback_and_says_that_it_has_no_sign_in():
    services = {name: one for name, one in LAPTOP["services"].items() if "profiles" not in one}

    assert set(services) == {"studio", "audit", "worker", "database"}
    ports = [port for one in services.values() for port in one.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert services["studio"]["environment"]["ALLOW_NO_SIGN_IN"] == "yes"
    assert "ALLOW_NO_SIGN_IN" not in COMPOSE["services"]["studio"]["environment"]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_that_the_settings_take(name, monkeypatch):
    given = environment_of(COMPOSE["services"][name], IMAGE)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    documented = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    own = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "HOME", "GRADIO_TEMP_DIR"}

    assert set(given) - own <= documented
    settings = Settings(_env_file=None)
    assert str(settings.home) == "/data"
    assert settings.trusted_proxies == COMPOSE["services"]["proxy"]["networks"]["front"]["ipv4_address"]


def test_no_secret_stands_in_the_files():
    for name in FILES:
        text = (ROOT / name).read_text()
        for variable, value in re.findall(r"^\s+([A-Z_]+): (\S.*)$", text, re.MULTILINE):
            assert not SECRETS.search(variable) or value.startswith("${"), variable


def test_a_container_is_given_longer_to_stop_than_it_may_take():
    leaving = float(COMPOSE["services"]["studio"]["environment"]["LEAVE_SECONDS"]) + serving.LONGEST_ANSWER

    for name in ("studio", "audit"):
        assert seconds(COMPOSE["services"][name]["stop_grace_period"]) >= leaving + 10
    assert seconds(COMPOSE["services"]["worker"]["stop_grace_period"]) >= MAX_SECONDS + 20


def test_there_are_two_workers_and_one_of_everything_that_keeps_pages_in_its_memory():
    replicas = {name: service["deploy"].get("replicas", 1) for name, service in COMPOSE["services"].items()}

    assert replicas == {"proxy": 1, "studio": 1, "audit": 1, "worker": 2, "database": 1}


def test_the_project_file_uses_the_projects_database_and_starts_none():
    wanted = {"DATABASE_URL": "postgresql://project"}
    services = read_compose(FILES[0], FILES[2], variables=wanted)["services"]

    assert {services[name]["environment"]["DATABASE_URL"] for name in OURS} == {"postgresql://project"}
    assert services["database"]["profiles"] == ["own-database"]
    assert services["studio"]["depends_on"]["database"]["required"] is False
    with pytest.raises(KeyError, match="Set DATABASE_URL"):
        read_compose(FILES[0], FILES[2])


def test_the_proxy_leads_to_both_apps_and_writes_no_token_into_its_log():
    path = COMPOSE["services"]["audit"]["environment"]["AUDIT_PATH"]

    assert f"@audit path {path} {path}/*" in PROXY
    assert PROXY.count(r'request>uri regexp \?.* ""') == 2
    assert PROXY.count("request>headers delete") == PROXY.count("resp_headers delete") == 2
    assert "flush_interval -1" in PROXY
    assert "lb_try_duration" in PROXY


def test_the_files_are_plain_yaml():
    for name in FILES:
        assert yaml.safe_load((ROOT / name).read_text())["services"]
