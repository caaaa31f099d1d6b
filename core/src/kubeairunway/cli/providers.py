"""`kubeairunway providers`: what is installed, what became of it, and what each provider says of itself."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_table, format_values, note, write
from kubeairunway.errors import SettingsError
from kubeairunway.plugin.registry import LoadState, Package, load_registry

if TYPE_CHECKING:
    import argparse

    from kubeairunway.plugin import Engine, Kind, Provider

HEADER = ("NAME", "STATE", "VERSION", "DISTRIBUTION", "ENGINES", "REASON")


def run(options: argparse.Namespace) -> int:
    """Print the packages; with --check the exit code says whether all of them are loaded."""
    packages = load_packages(options)
    if options.name is not None:
        packages = pick_package(packages, options.name)
    write(format_packages(packages, options))
    broken = any(package.state is not LoadState.LOADED for package in packages)
    return ExitCode.REFUSED if options.check and broken else ExitCode.OK


def load_packages(options: argparse.Namespace) -> tuple[Package, ...]:
    """Load what is installed, as the options choose; the threads of the hooks are ended again."""
    registry = load_registry(
        disabled=options.disable_provider,
        only=options.provider or None,
        crash_notes=Path(options.crash_notes).expanduser() if options.crash_notes else None,
    )
    registry.close()
    for remark in registry.remarks:
        note(remark)
    return registry.packages


def pick_package(packages: tuple[Package, ...], name: str) -> tuple[Package, ...]:
    """Return the one of that name. Raises SettingsError with the names there are."""
    found = tuple(package for package in packages if package.name == name)
    if not found:
        known = ", ".join(package.name for package in packages) or "none"
        raise SettingsError(f"no provider named {name} is installed; installed: {known}")
    return found


def format_packages(packages: tuple[Package, ...], options: argparse.Namespace) -> str:
    """Return the text in the style asked for."""
    if options.output == "table":
        if options.name is not None:
            return "\n\n".join(describe_package(package) for package in packages)
        if not packages:
            return "No provider is installed; install one, for example: pip install kubeairunway-kaito"
        return format_table(HEADER, [make_row(package) for package in packages])
    values = [package_json(package) for package in packages]
    return format_values(values if options.name is not None else [{"providers": values}], options.output)


def make_row(package: Package) -> tuple[str, ...]:
    """Return the row of one package."""
    engines = ", ".join(sorted({engine.name for engine in package.provider.engines})) if package.provider else ""
    return package.name, package.state, package.version, package.distribution, engines, package.reason


def describe_package(package: Package) -> str:
    """Return everything about one package, for people."""
    lines = [
        f"{package.name}: {package.state}{f' ({package.reason})' if package.reason else ''}",
        f"  package: {package.distribution or '(none)'} {package.version}, module {package.module}".rstrip(),
    ]
    if package.provider is not None:
        lines += _describe_provider(package.provider)
    return "\n".join(lines)


def _describe_provider(provider: Provider) -> list[str]:
    lines = [f"  chosen without being named: {'yes' if provider.auto_select else 'no'}"]
    for engine in provider.engines:
        lines.append(f"  engine {engine.name} ({', '.join(engine.modes)}; {_hardware(engine)}) carries:")
        lines += [f"    spec.{path}" for path in sorted(engine.carries)]
    lines += [f"  renders {_describe_kind(kind)}" for kind in provider.kinds]
    lines += [f"  reads {_describe_kind(kind)}" for kind in provider.children]
    lines += [f"  rule {rule.name} (priority {rule.priority}): {rule.condition}" for rule in provider.rules]
    for title, declared in (("overrides", provider.overrides), ("settings", provider.settings)):
        if declared is not None and is_dataclass(declared):
            lines.append(f"  {title}: {', '.join(to_camel(item.name) for item in fields(declared)) or 'none'}")
    return [*lines, *([f"  documentation: {provider.docs}"] if provider.docs else [])]


def _hardware(engine: Engine) -> str:
    return " and ".join(name for name, on in (("GPU", engine.gpu), ("CPU", engine.cpu)) if on)


def _describe_kind(kind: Kind) -> str:
    versions = ", ".join(kind.versions)
    return f"{kind.name}{f'.{kind.group}' if kind.group else ''} ({versions}){', optional' if kind.optional else ''}"


def package_json(package: Package) -> dict[str, Any]:
    """Return everything about one package, for programs; empty fields are left out."""
    row: dict[str, Any] = {
        "name": package.name,
        "state": str(package.state),
        "reason": package.reason,
        "distribution": package.distribution,
        "version": package.version,
        "module": package.module,
    }
    if package.provider is not None:
        row |= _provider_json(package.provider)
    return {key: value for key, value in row.items() if value not in ("", [], {})}


def _provider_json(provider: Provider) -> dict[str, Any]:
    return {
        "contract": provider.contract,
        "autoSelect": provider.auto_select,
        "engines": [
            {
                "name": engine.name,
                "modes": list(engine.modes),
                "gpu": engine.gpu,
                "cpu": engine.cpu,
                "carries": sorted(engine.carries),
            }
            for engine in provider.engines
        ],
        "kinds": [_kind_json(kind) for kind in provider.kinds],
        "children": [_kind_json(kind) for kind in provider.children],
        "rules": [
            {"name": rule.name, "condition": rule.condition, "priority": rule.priority} for rule in provider.rules
        ],
        "documentation": provider.docs,
    }


def _kind_json(kind: Kind) -> dict[str, Any]:
    return {"group": kind.group, "name": kind.name, "versions": list(kind.versions), "optional": kind.optional}
