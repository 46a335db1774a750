"""The operators of the application: thin, one step of :class:`deploy_app.serving.ServingRun` each."""
