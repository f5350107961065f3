def build(asking):
    pass
