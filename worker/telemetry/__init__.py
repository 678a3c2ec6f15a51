"""Where everything worth knowing goes: logs, metrics, Sentry, health. It observes and never decides."""
